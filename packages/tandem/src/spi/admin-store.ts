import type { HalfState } from '../core/half-state.ts'
import type { DeadReason, InboxState } from '../core/inbox-state.ts'

/** What a person sees and decides. Nothing on the hot path uses these steps. */
export interface AdminSteps {
  /** Counts, ages and sizes of everything that is not finished. */
  overview(): Promise<Overview>

  deadLetters(filter: DeadLetterFilter, page: Page): Promise<readonly DeadLetterRow[]>
  /** Dead letters by group, type and the first line of their last error; the largest first. */
  deadLetterGroups(filter: DeadLetterFilter): Promise<readonly DeadLetterGroup[]>
  deadLetter(ref: InboxRef): Promise<DeadLetterDetail | undefined>
  /** Replaces the body; the original of the first edit is kept. False if the message is not dead. */
  editDeadLetter(ref: InboxRef, body: Uint8Array, act: Act): Promise<boolean>
  /**
   * Sets a dead letter to be handled again, with its id, key and place. Of two calls at the same moment one says true.
   */
  replayDeadLetter(ref: InboxRef, act: Act): Promise<boolean>
  /** Gives a dead letter up and lets the next message of its key go on. Of two calls at the same moment one says true. */
  discardDeadLetter(ref: InboxRef, act: Act): Promise<boolean>

  halfMessages(filter: { readonly state?: HalfState }, page: Page): Promise<readonly HalfRow[]>
  /** Writes the audit row of a decision that `half.resolve` has made. */
  audit(act: Act, action: string, target: string): Promise<void>
  auditTrail(page: Page): Promise<readonly AuditRow[]>

  heldMessages(filter: { readonly state?: HeldState }, page: Page): Promise<readonly HeldRow[]>
  /** Lets an `unsendable` or `waiting` message be published again now. */
  retryHeld(id: string, act: Act): Promise<boolean>
  /** Gives an `unsendable` message up and lets the next of its key go on. */
  discardHeld(id: string, act: Act): Promise<boolean>

  /** Everything this store knows about a message and about those it caused, directly or through others. */
  trace(id: string): Promise<readonly TraceRow[]>
}

/** A part of a list. Lists are newest first; what is there all the time is on exactly one page. */
export interface Page {
  readonly limit: number
  /** The `cursor` of the last row of the page before. */
  readonly after?: string
}

/** Who acts, and why; written into the audit trail. */
export interface Act {
  readonly by: string
  readonly reason?: string
}

export interface InboxRef {
  readonly group: string
  readonly id: string
}

export interface DeadLetterFilter {
  readonly group?: string
  readonly type?: string
  readonly topic?: string
  readonly key?: string
  readonly reason?: DeadReason
  /** Substring of the last error. */
  readonly error?: string
}

export interface DeadLetterRow extends InboxRef {
  readonly cursor: string
  readonly topic: string
  readonly type: string
  readonly key: string | undefined
  readonly source: string
  readonly reason: DeadReason
  readonly error: string
  readonly attempts: number
  readonly sentAt: number
  readonly diedAt: number
  /** Messages of the same key that wait behind it. */
  readonly blocking: number
}

export interface DeadLetterGroup {
  readonly group: string
  readonly type: string
  readonly error: string
  readonly count: number
  readonly oldest: number
  readonly newest: number
}

export interface AttemptRow {
  readonly attempt: number
  readonly at: number
  readonly error: string
  readonly stack: string
  readonly process: string
}

export interface DeadLetterDetail extends DeadLetterRow {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The body as it arrived, if it was edited since. */
  readonly originalBody: Uint8Array | undefined
  readonly history: readonly AttemptRow[]
}

export interface HalfRow {
  readonly cursor: string
  readonly id: string
  readonly topic: string
  readonly type: string
  readonly key: string | undefined
  readonly state: HalfState
  readonly barrier: boolean
  readonly answered: number
  readonly lastError: string | undefined
  readonly preparedAt: number
  readonly nextCheckAt: number | undefined
  readonly decidedAt: number | undefined
}

export type HeldState = 'delayed' | 'waiting' | 'behind' | 'unsendable'

export interface HeldRow {
  readonly cursor: string
  readonly id: string
  readonly topic: string
  readonly type: string
  readonly key: string | undefined
  readonly state: HeldState
  readonly attempts: number
  readonly error: string | undefined
  readonly dueAt: number | undefined
}

export interface AuditRow {
  readonly cursor: string
  readonly at: number
  readonly by: string
  readonly action: string
  readonly target: string
  readonly reason: string | undefined
}

/** One thing that this store knows about one message. */
export interface TraceRow {
  readonly id: string
  readonly type: string
  readonly topic: string
  readonly key: string | undefined
  readonly source: string
  readonly sentAt: number
  readonly causationId: string | undefined
  readonly correlationId: string
  readonly place:
    | { readonly kind: 'half'; readonly state: HalfState; readonly at: number }
    | {
        readonly kind: 'outbox'
        readonly state: 'unsent' | HeldState
        readonly at: number
        readonly error: string | undefined
      }
    | {
        readonly kind: 'inbox'
        readonly group: string
        readonly state: InboxState
        readonly at: number
        readonly attempts: readonly AttemptRow[]
      }
}

export interface Overview {
  /** The database's clock, milliseconds since the epoch. */
  readonly now: number
  readonly schemaVersion: number
  readonly outbox: {
    readonly unsent: number
    /** Milliseconds the oldest unsent message has waited. */
    readonly oldestAge: number | undefined
    readonly held: Readonly<Record<HeldState, number>>
  }
  readonly half: Readonly<Record<HalfState, number>>
  readonly inbox: readonly { readonly group: string; readonly states: Readonly<Record<InboxState, number>> }[]
  readonly blockedKeys: number
  /** For how many milliseconds the oldest of each kind has been there; undefined where there is none. */
  readonly oldest: {
    /** Message that is being retried, since its first attempt failed. */
    readonly retrying: number | undefined
    /** Half message that nobody has decided, since it was prepared. */
    readonly half: number | undefined
    readonly dead: number | undefined
    /** Finished row of the inbox, since it was finished: not much more than the retention, or the clean-up does not keep up. */
    readonly finished: number | undefined
  }
  readonly size: {
    /** Bytes of all tables with their indexes; where the database does not tell them apart, of the whole file. */
    readonly bytes: number | undefined
    /** Every table that can grow, by its name without schema or prefix, in the order of the SQL file. */
    readonly tables: readonly TableSize[]
  }
  readonly processes: readonly {
    readonly id: string
    readonly host: string
    readonly pid: number
    readonly alive: boolean
    readonly seenAt: number
    readonly leases: readonly string[]
  }[]
}

export interface TableSize {
  readonly name: string
  /** As the database's statistics have it, where counting would mean to read the table. */
  readonly rows: number
  /** With indexes and large values. Undefined where the database does not tell cheaply. */
  readonly bytes: number | undefined
}
