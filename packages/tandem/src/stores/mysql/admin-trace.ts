import type { AdminSteps } from '../../spi/admin-store.ts'
import { createTrace as searchBy } from '../shared/trace.ts'
import { clean, idParam, ms, type MysqlContext } from './context.ts'

/** Looks through whole tables: nothing on the hot path pays for an index that only a person's question needs. */
export function createTrace<Tx>({ tables, read }: MysqlContext<Tx>): AdminSteps['trace'] {
  const { outbox, outbox_held: held, half, inbox, inbox_attempt: attempts } = tables
  // As JSON all texts are compared by their bytes, whatever collation a parameter has.
  const caused = `json_contains(?, json_extract(headers, '$."ce-causationid"')) OR id = ?`
  const sql = {
    inbox: `SELECT group_name, message_id, type, topic, \`key\`, source, ${ms('sent_at')} AS sent_at, causation_id, correlation_id,
        state, ${ms('at')} AS at
      FROM ${inbox} WHERE json_contains(?, json_quote(causation_id)) OR message_id = ?`,
    outbox: `SELECT id, type, topic, \`key\`, headers, ${ms('written_at')} AS at, 'unsent' AS state, NULL AS error
      FROM ${outbox} WHERE ${caused}`,
    held: `SELECT id, type, topic, \`key\`, headers, ${ms('written_at')} AS at, state, error FROM ${held} WHERE ${caused}`,
    half: `SELECT id, type, topic, \`key\`, headers, ${ms('coalesce(decided_at, prepared_at)')} AS at, state
      FROM ${half} WHERE ${caused}`,
    attempts: `SELECT attempt, ${ms('at')} AS at, error, stack, process FROM ${attempts}
      WHERE group_name = ? AND message_id = ? ORDER BY attempt`,
  }
  const params = (causes: readonly string[], id: string): [string, string] => [
    JSON.stringify(causes.map(clean)),
    idParam(id),
  ]
  return searchBy({
    inbox: (causes, id) => read(sql.inbox, params(causes, id)),
    outbox: async (causes, id) => [
      ...(await read(sql.outbox, params(causes, id))),
      ...(await read(sql.held, params(causes, id))),
    ],
    half: (causes, id) => read(sql.half, params(causes, id)),
    attempts: (group, id) => read(sql.attempts, [group, idParam(id)]),
  })
}
