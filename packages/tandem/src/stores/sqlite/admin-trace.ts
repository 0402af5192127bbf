import type { AdminSteps } from '../../spi/admin-store.ts'
import { createTrace as searchBy } from '../shared/trace.ts'
import type { SqliteContext } from './context.ts'

/** Looks through whole tables: nothing on the hot path pays for an index that only a person's question needs. */
export function createTrace<Tx>({ tables, read }: SqliteContext<Tx>): AdminSteps['trace'] {
  const { outbox, outbox_held: held, half, inbox, inbox_attempt: attempts } = tables
  const searched = (id: string): string => `(SELECT value FROM json_each(?)) OR ${id} = ?`
  const caused = `json_extract(headers, '$."ce-causationid"') IN ${searched('id')}`
  const sql = {
    inbox: `SELECT * FROM ${inbox} WHERE causation_id IN ${searched('message_id')}`,
    outbox: `SELECT id, type, topic, key, headers, written_at AS at, 'unsent' AS state, NULL AS error
      FROM ${outbox} WHERE ${caused}`,
    held: `SELECT id, type, topic, key, headers, written_at AS at, state, error FROM ${held} WHERE ${caused}`,
    half: `SELECT id, type, topic, key, headers, coalesce(decided_at, prepared_at) AS at, state
      FROM ${half} WHERE ${caused}`,
    attempts: `SELECT attempt, at, error, stack, process FROM ${attempts}
      WHERE group_name = ? AND message_id = ? ORDER BY attempt`,
  }

  const params = (causes: readonly string[], id: string): [string, string] => [JSON.stringify(causes), id]
  return searchBy({
    inbox: (causes, id) => read(sql.inbox, params(causes, id)),
    outbox: async (causes, id) => [
      ...(await read(sql.outbox, params(causes, id))),
      ...(await read(sql.held, params(causes, id))),
    ],
    half: (causes, id) => read(sql.half, params(causes, id)),
    attempts: (group, id) => read(sql.attempts, [group, id]),
  })
}
