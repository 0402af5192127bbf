import type { InboxSteps } from '../../spi/store.ts'
import type { SqliteContext } from './context.ts'
import { integer } from '../shared/rows.ts'

/**
 * Looks at the oldest finished rows and at no others: `seq` above 0 is the order in which rows were finished. A call costs the same
 * whatever the inbox holds.
 */
export function createExpire<Tx>({ driver, tables, now, read, run }: SqliteContext<Tx>): InboxSteps<Tx>['expire'] {
  const { inbox, inbox_failure: failure, inbox_attempt: attempt } = tables
  const sql = {
    old: `SELECT seq FROM (SELECT seq, at FROM ${inbox} WHERE seq > 0 ORDER BY seq LIMIT ?) WHERE at < ${now} - ?`,
    attempts: `DELETE FROM ${attempt} WHERE seq IN (
      SELECT a.seq FROM json_each(?) o CROSS JOIN ${inbox} i ON i.seq = o.value
        CROSS JOIN ${attempt} a ON a.group_name = i.group_name AND a.message_id = i.message_id)`,
    failures: `DELETE FROM ${failure} WHERE seq IN (
      SELECT f.seq FROM json_each(?) o CROSS JOIN ${inbox} i ON i.seq = o.value
        CROSS JOIN ${failure} f ON f.group_name = i.group_name AND f.message_id = i.message_id
      WHERE f.state = 'discarded')`,
    rows: `DELETE FROM ${inbox} WHERE seq IN (SELECT value FROM json_each(?)) AND state IN ('handled', 'discarded')`,
  }
  return async (olderThan, limit) => {
    const old = await read(sql.old, [limit, olderThan])
    if (old.length === 0) return 0
    // Between this read and the transaction a finished row can only go, never come back to life.
    const seqs = JSON.stringify(old.map((row) => integer(row, 'seq')))
    return driver.transaction(async (tx) => {
      await run(tx, sql.attempts, [seqs])
      await run(tx, sql.failures, [seqs])
      return (await run(tx, sql.rows, [seqs])).changed
    })
  }
}
