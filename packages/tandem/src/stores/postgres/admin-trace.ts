import type { AdminSteps } from '../../spi/admin-store.ts'
import { createTrace as searchBy } from '../shared/trace.ts'
import { anyText, clean, ms, type PostgresContext } from './context.ts'
import { idParam } from './inbox-rows.ts'

/** Looks through whole tables: nothing on the hot path pays for an index that only a person's question needs. */
export function createTrace<Tx>({ tables, read }: PostgresContext<Tx>): AdminSteps['trace'] {
  const { outbox, outbox_held: held, half, inbox, inbox_attempt: attempts } = tables
  const caused = `headers::json ->> 'ce-causationid' = ${anyText('$1')} OR id = $2::text`
  const sql = {
    inbox: `SELECT group_name, message_id, type, topic, key, source, ${ms('sent_at')} AS sent_at, causation_id, correlation_id,
        state, ${ms('at')} AS at
      FROM ${inbox} WHERE causation_id = ${anyText('$1')} OR message_id = $2::text`,
    outbox: `SELECT id, type, topic, key, headers, ${ms('written_at')} AS at, 'unsent' AS state, NULL AS error
        FROM ${outbox} WHERE ${caused}
      UNION ALL SELECT id, type, topic, key, headers, ${ms('written_at')}, state, error FROM ${held} WHERE ${caused}`,
    half: `SELECT id, type, topic, key, headers, ${ms('coalesce(decided_at, prepared_at)')} AS at, state
      FROM ${half} WHERE ${caused}`,
    attempts: `SELECT attempt, ${ms('at')} AS at, error, stack, process FROM ${attempts}
      WHERE group_name = $1::text AND message_id = $2::text ORDER BY attempt`,
  }
  const params = (causes: readonly string[], id: string): [string, string] => [
    JSON.stringify(causes.map(clean)),
    clean(id),
  ]
  return searchBy({
    inbox: (causes, id) => read(sql.inbox, params(causes, idParam(id))),
    outbox: (causes, id) => read(sql.outbox, params(causes, id)),
    half: (causes, id) => read(sql.half, params(causes, id)),
    attempts: (group, id) => read(sql.attempts, [group, idParam(id)]),
  })
}
