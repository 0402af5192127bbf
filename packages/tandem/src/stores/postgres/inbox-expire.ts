import type { InboxSteps } from '../../spi/store.ts'
import { integer } from '../shared/rows.ts'
import type { PostgresContext } from './context.ts'

/**
 * Deletes the oldest finished rows, from an index that holds nothing else, in one statement: what it locks is free again at once, and
 * what somebody else has locked is left for the next time.
 */
export function createExpire<Tx>({ tables, now, read }: PostgresContext<Tx>): InboxSteps<Tx>['expire'] {
  const { inbox, inbox_failure: failure, inbox_attempt: attempt } = tables
  const same = (row: string): string => `${row}.group_name = gone.group_name AND ${row}.message_id = gone.message_id`
  const sql = `WITH gone AS (
      DELETE FROM ${inbox} WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM ${inbox}
        WHERE state IN ('handled', 'discarded') AND at < ${now} - $1::float8 * interval '1 millisecond'
        ORDER BY at LIMIT $2::int4 FOR UPDATE SKIP LOCKED))
      RETURNING group_name, message_id),
    attempts AS (DELETE FROM ${attempt} a USING gone WHERE ${same('a')}),
    failures AS (DELETE FROM ${failure} f USING gone WHERE ${same('f')} AND f.state = 'discarded')
    SELECT count(*)::int4 AS expired FROM gone`
  return async (olderThan, limit) => integer((await read(sql, [olderThan, limit]))[0] ?? {}, 'expired')
}
