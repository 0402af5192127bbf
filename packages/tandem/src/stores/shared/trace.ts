import type { HalfState } from '../../core/half-state.ts'
import type { InboxState } from '../../core/inbox-state.ts'
import type { AdminSteps, HeldState, TraceRow } from '../../spi/admin-store.ts'
import type { Row } from '../../spi/driver.ts'
import { attemptRow } from './admin-rows.ts'
import { headersOf, integer, optionalText, text } from './rows.ts'

/** Messages after which the search ends. */
const MOST = 10_000

/** The rows that the search looks at. The first three find the messages that `causes` caused, and the one that is `id`. */
export interface TraceQueries {
  inbox(causes: readonly string[], id: string): Promise<readonly Row[]>
  /** Both what waits for the relay and what is held, with `state` and `error`. */
  outbox(causes: readonly string[], id: string): Promise<readonly Row[]>
  half(causes: readonly string[], id: string): Promise<readonly Row[]>
  attempts(group: string, id: string): Promise<readonly Row[]>
}

export function createTrace(find: TraceQueries): AdminSteps['trace'] {
  const inboxRow = async (row: Row): Promise<TraceRow> => {
    const group = text(row, 'group_name')
    const id = text(row, 'message_id')
    return {
      id,
      type: text(row, 'type'),
      topic: text(row, 'topic'),
      key: optionalText(row, 'key'),
      source: text(row, 'source'),
      sentAt: integer(row, 'sent_at'),
      causationId: optionalText(row, 'causation_id'),
      correlationId: text(row, 'correlation_id'),
      place: {
        kind: 'inbox',
        group,
        state: text(row, 'state') as InboxState,
        at: integer(row, 'at'),
        attempts: (await find.attempts(group, id)).map(attemptRow),
      },
    }
  }

  return async (id) => {
    const found = new Map<string, TraceRow>()
    const ids = new Set([id])
    // Each round finds what the messages of the round before caused; the first also finds the message itself.
    for (let next: readonly string[] = []; ;) {
      const causes = next.length === 0 ? [id] : next
      const rows = [
        ...(await Promise.all((await find.inbox(causes, id)).map(inboxRow))),
        ...(await find.outbox(causes, id)).map(outboxRow),
        ...(await find.half(causes, id)).map(halfRow),
      ]
      for (const row of rows) found.set(JSON.stringify([row.id, row.place]), row)
      next = [...new Set(rows.map((row) => row.id))].filter((one) => !ids.has(one))
      for (const one of next) ids.add(one)
      if (next.length === 0 || ids.size > MOST) break
    }
    return [...found.values()].toSorted((a, b) => a.place.at - b.place.at)
  }
}

function outboxRow(row: Row): TraceRow {
  return {
    ...producedRow(row),
    place: {
      kind: 'outbox',
      state: text(row, 'state') as 'unsent' | HeldState,
      at: integer(row, 'at'),
      error: optionalText(row, 'error'),
    },
  }
}

function halfRow(row: Row): TraceRow {
  return {
    ...producedRow(row),
    place: { kind: 'half', state: text(row, 'state') as HalfState, at: integer(row, 'at') },
  }
}

function producedRow(row: Row): Omit<TraceRow, 'place'> {
  const headers = headersOf(row)
  const id = text(row, 'id')
  return {
    id,
    type: text(row, 'type'),
    topic: text(row, 'topic'),
    key: optionalText(row, 'key'),
    source: headers['ce-source'] ?? '',
    sentAt: Date.parse(headers['ce-time'] ?? '') || 0,
    causationId: headers['ce-causationid'],
    correlationId: headers['ce-correlationid'] ?? id,
  }
}
