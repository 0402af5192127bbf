import type { HalfState } from '../../core/half-state.ts'
import type { Row } from '../../spi/driver.ts'
import type { HalfMessage, InboxMessage, OutboxMessage, RetryMessage } from '../../spi/store.ts'
import { bytes, flag, headersOf, integer, optionalInteger, optionalText, text } from './rows.ts'

/** Messages as rows have them: all stores name their columns alike. */
export function outboxMessage(row: Row): OutboxMessage {
  return {
    position: integer(row, 'position'),
    shard: integer(row, 'shard'),
    id: text(row, 'id'),
    topic: text(row, 'topic'),
    key: optionalText(row, 'key'),
    type: text(row, 'type'),
    headers: headersOf(row),
    body: bytes(row, 'body'),
    deliverAt: undefined,
    strictOrder: false,
    attempts: integer(row, 'attempts'),
    failingFor: integer(row, 'failing_for'),
    behindHeld: flag(row, 'behind_held'),
  }
}

export function halfMessage(row: Row): HalfMessage {
  const deliverAt = optionalInteger(row, 'deliver_at')
  return {
    id: text(row, 'id'),
    topic: text(row, 'topic'),
    key: optionalText(row, 'key'),
    type: text(row, 'type'),
    headers: headersOf(row),
    body: bytes(row, 'body'),
    deliverAt: deliverAt === undefined ? undefined : new Date(deliverAt),
    strictOrder: false,
    state: text(row, 'state') as HalfState,
    barrier: flag(row, 'barrier'),
    answered: integer(row, 'answered'),
    age: integer(row, 'age'),
  }
}

function inboxMessage(row: Row): InboxMessage {
  return {
    id: text(row, 'message_id'),
    type: text(row, 'type'),
    topic: text(row, 'topic'),
    key: optionalText(row, 'key'),
    source: text(row, 'source'),
    sentAt: integer(row, 'sent_at'),
    causationId: optionalText(row, 'causation_id'),
    correlationId: text(row, 'correlation_id'),
    headers: headersOf(row),
    body: bytes(row, 'body'),
  }
}

export function retryMessage(row: Row): RetryMessage {
  return {
    ...inboxMessage(row),
    group: text(row, 'group_name'),
    attempts: integer(row, 'attempts'),
    attemptsInRound: integer(row, 'attempts_in_round'),
    unfinished: row['in_progress'] !== null,
    version: integer(row, 'version'),
  }
}
