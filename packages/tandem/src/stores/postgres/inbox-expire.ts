import { ms, type PostgresContext } from './context.ts'
import { createSweep, fromHere, type Sweep } from './sweep.ts'

/**
 * Deletes the oldest finished rows, from an index that holds nothing else, in one statement: what it locks is free again at once, and
 * what somebody else has locked is left for the next time.
 */
export function createExpire<Tx>({ tables, now, read }: PostgresContext<Tx>): Sweep {
  const { inbox, inbox_failure: failure, inbox_attempt: attempt } = tables
  const same = (row: string): string => `${row}.group_name = gone.group_name AND ${row}.message_id = gone.message_id`
  const sql = `WITH gone AS (
      DELETE FROM ${inbox} WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM ${inbox}
        WHERE state IN ('handled', 'discarded') AND at < ${now} - $1::float8 * interval '1 millisecond'
          AND ${fromHere('at')}
        ORDER BY at LIMIT $2::int4 FOR UPDATE SKIP LOCKED))
      RETURNING group_name, message_id, at),
    attempts AS (DELETE FROM ${attempt} a USING gone WHERE ${same('a')}),
    failures AS (DELETE FROM ${failure} f USING gone WHERE ${same('f')} AND f.state = 'discarded')
    SELECT count(*)::int4 AS gone, ${ms('max(at)')} AS last FROM gone`
  return createSweep(read, sql)
}
