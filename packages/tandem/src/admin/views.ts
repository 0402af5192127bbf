import type { HalfState } from '../core/half-state.ts'
import type { DeadReason, InboxState } from '../core/inbox-state.ts'
import type { AuditRow, DeadLetterGroup, DeadLetterRow, HalfRow, HeldRow, HeldState } from '../spi/admin-store.ts'
import type { PayloadView } from './payload.ts'

/*
 * What the administration answers: plain data that survives JSON. Instants are ISO 8601 in UTC, by the database's clock unless said
 * otherwise; what is not there is null, so that every row of a kind has the same shape.
 */

/** A page of a list that goes over all the services asked for. */
export interface PageView<Item> {
  readonly items: readonly Item[]
  /** The cursor of the next page; null after the last. */
  readonly next: string | null
}

export interface DeadLetterView {
  readonly service: string
  readonly group: string
  readonly id: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  /** The service that sent it. */
  readonly source: string
  readonly reason: DeadReason
  readonly error: string
  readonly attempts: number
  /** By the sender's clock. */
  readonly sentAt: string
  readonly diedAt: string
  /** Messages of the same key that wait behind it. */
  readonly blocking: number
}

export interface DeadLetterDetailView extends DeadLetterView {
  readonly headers: Readonly<Record<string, string>>
  readonly payload: PayloadView
  /** The payload as it arrived, if it was edited since. */
  readonly originalPayload: PayloadView | null
  readonly history: readonly AttemptView[]
}

export interface AttemptView {
  readonly attempt: number
  readonly at: string
  readonly error: string
  readonly stack: string
  /** `host:pid` of the process that tried. */
  readonly process: string
}

export interface DeadLetterGroupView {
  readonly service: string
  readonly group: string
  readonly type: string
  /** First line of the last error. */
  readonly error: string
  readonly count: number
  readonly oldest: string
  readonly newest: string
}

export interface HalfView {
  readonly service: string
  readonly id: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly state: HalfState
  readonly barrier: boolean
  /** Checks that were answered `unknown`. */
  readonly answered: number
  readonly lastError: string | null
  readonly preparedAt: string
  readonly nextCheckAt: string | null
  readonly decidedAt: string | null
}

export interface HeldView {
  readonly service: string
  readonly id: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly state: HeldState
  readonly attempts: number
  readonly error: string | null
  readonly dueAt: string | null
}

export interface AuditView {
  readonly service: string
  readonly at: string
  readonly by: string
  readonly action: string
  readonly target: string
  readonly reason: string | null
}

/** A place in which a message was found. */
export type TracePlace =
  | { readonly kind: 'half'; readonly service: string; readonly state: HalfState; readonly at: string }
  | {
      readonly kind: 'outbox'
      readonly service: string
      readonly state: 'unsent' | HeldState
      readonly at: string
      readonly error: string | null
    }
  | {
      readonly kind: 'broker'
      readonly broker: string
      readonly at: string
      /** The consumer groups that know the topic, and whether each is past this message. */
      readonly groups: readonly { readonly group: string; readonly passed: boolean }[]
    }
  | {
      readonly kind: 'inbox'
      readonly service: string
      readonly group: string
      readonly state: InboxState
      readonly at: string
      readonly attempts: readonly AttemptView[]
    }

export interface TraceNode {
  readonly id: string
  /** Null, with all else but the causation, when only what it caused is still known. */
  readonly type: string | null
  readonly topic: string | null
  readonly key: string | null
  readonly source: string | null
  /** By the sender's clock. */
  readonly sentAt: string | null
  readonly causationId: string | null
  readonly correlationId: string | null
  readonly places: readonly TracePlace[]
  /** The messages that were sent while this one was handled, the oldest first. */
  readonly caused: readonly TraceNode[]
}

export function instant(at: number): string {
  return new Date(at).toISOString()
}

export function instantOrNull(at: number | undefined): string | null {
  return at === undefined ? null : instant(at)
}

export function viewDeadLetter(service: string, row: DeadLetterRow): DeadLetterView {
  return {
    service,
    group: row.group,
    id: row.id,
    topic: row.topic,
    type: row.type,
    key: row.key ?? null,
    source: row.source,
    reason: row.reason,
    error: row.error,
    attempts: row.attempts,
    sentAt: instant(row.sentAt),
    diedAt: instant(row.diedAt),
    blocking: row.blocking,
  }
}

export function viewDeadLetterGroup(service: string, row: DeadLetterGroup): DeadLetterGroupView {
  return {
    service,
    group: row.group,
    type: row.type,
    error: row.error,
    count: row.count,
    oldest: instant(row.oldest),
    newest: instant(row.newest),
  }
}

export function viewHalf(service: string, row: HalfRow): HalfView {
  return {
    service,
    id: row.id,
    topic: row.topic,
    type: row.type,
    key: row.key ?? null,
    state: row.state,
    barrier: row.barrier,
    answered: row.answered,
    lastError: row.lastError ?? null,
    preparedAt: instant(row.preparedAt),
    nextCheckAt: instantOrNull(row.nextCheckAt),
    decidedAt: instantOrNull(row.decidedAt),
  }
}

export function viewHeld(service: string, row: HeldRow): HeldView {
  return {
    service,
    id: row.id,
    topic: row.topic,
    type: row.type,
    key: row.key ?? null,
    state: row.state,
    attempts: row.attempts,
    error: row.error ?? null,
    dueAt: instantOrNull(row.dueAt),
  }
}

export function viewAudit(service: string, row: AuditRow): AuditView {
  return {
    service,
    at: instant(row.at),
    by: row.by,
    action: row.action,
    target: row.target,
    reason: row.reason ?? null,
  }
}
