import type { HalfState } from '../../core/half-state.ts'
import type { DeadReason } from '../../core/inbox-state.ts'
import type {
  AttemptRow,
  AuditRow,
  DeadLetterDetail,
  DeadLetterGroup,
  DeadLetterRow,
  HalfRow,
  HeldRow,
  HeldState,
} from '../../spi/admin-store.ts'
import type { Row } from '../../spi/driver.ts'
import { bytes, flag, headersOf, integer, optionalInteger, optionalText, text } from './rows.ts'

/** What a person sees, as rows have it: all stores name their columns alike. */
export function auditRow(row: Row): AuditRow {
  return {
    cursor: String(integer(row, 'seq')),
    at: integer(row, 'at'),
    by: text(row, 'actor'),
    action: text(row, 'action'),
    target: text(row, 'target'),
    reason: optionalText(row, 'reason'),
  }
}

export function attemptRow(row: Row): AttemptRow {
  return {
    attempt: integer(row, 'attempt'),
    at: integer(row, 'at'),
    error: text(row, 'error'),
    stack: text(row, 'stack'),
    process: text(row, 'process'),
  }
}

export function deadLetterRow(row: Row): DeadLetterRow {
  return {
    cursor: `${integer(row, 'died_at')}.${integer(row, 'seq')}`,
    group: text(row, 'group_name'),
    id: text(row, 'message_id'),
    topic: text(row, 'topic'),
    type: text(row, 'type'),
    key: optionalText(row, 'key'),
    source: text(row, 'source'),
    reason: text(row, 'reason') as DeadReason,
    error: text(row, 'error'),
    attempts: integer(row, 'attempts'),
    sentAt: integer(row, 'sent_at'),
    diedAt: integer(row, 'died_at'),
    blocking: integer(row, 'blocking'),
  }
}

export function deadLetterDetail(row: Row, history: readonly Row[]): DeadLetterDetail {
  return {
    ...deadLetterRow(row),
    headers: headersOf(row),
    body: bytes(row, 'body'),
    originalBody: row['original_body'] === null ? undefined : bytes(row, 'original_body'),
    history: history.map(attemptRow),
  }
}

export function deadLetterGroup(row: Row): DeadLetterGroup {
  return {
    group: text(row, 'group_name'),
    type: text(row, 'type'),
    error: text(row, 'first_line'),
    count: integer(row, 'count'),
    oldest: integer(row, 'oldest'),
    newest: integer(row, 'newest'),
  }
}

export function halfRow(row: Row): HalfRow {
  return {
    cursor: String(integer(row, 'seq')),
    id: text(row, 'id'),
    topic: text(row, 'topic'),
    type: text(row, 'type'),
    key: optionalText(row, 'key'),
    state: text(row, 'state') as HalfState,
    barrier: flag(row, 'barrier'),
    answered: integer(row, 'answered'),
    lastError: optionalText(row, 'last_error'),
    preparedAt: integer(row, 'prepared_at'),
    nextCheckAt: optionalInteger(row, 'next_check_at'),
    decidedAt: optionalInteger(row, 'decided_at'),
  }
}

export function heldRow(row: Row): HeldRow {
  return {
    cursor: String(integer(row, 'seq')),
    id: text(row, 'id'),
    topic: text(row, 'topic'),
    type: text(row, 'type'),
    key: optionalText(row, 'key'),
    state: text(row, 'state') as HeldState,
    attempts: integer(row, 'attempts'),
    error: optionalText(row, 'error'),
    dueAt: optionalInteger(row, 'due_at'),
  }
}
