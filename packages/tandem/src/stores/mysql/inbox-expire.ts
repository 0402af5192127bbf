import type { InboxSteps } from '../../spi/store.ts'
import type { InboxState } from '../../core/inbox-state.ts'
import { integer, text } from '../shared/rows.ts'
import { INSTANT, minusMs, ms, WHOLE, type MysqlContext } from './context.ts'

/** Rows of one transaction. It locks no more, and is soon over. */
const MOST = 1000

/**
 * Deletes the oldest finished rows, from an index by age, and leaves what somebody else has locked for the next time. Each call begins where
 * the one before ended: what is deleted and cannot be purged yet is not stepped over again and again.
 */
export function createExpire<Tx>({ tables, now, run, own }: MysqlContext<Tx>): InboxSteps<Tx>['expire'] {
  const { inbox, inbox_failure: failure, inbox_attempt: attempts } = tables
  // By the primary key, row by row: nothing else is locked, and nobody who handles is waited for.
  const these = (table: string): string => `DELETE t FROM JSON_TABLE(?, '$[*]'
      COLUMNS (group_name VARCHAR(127) PATH '$[0]', message_id VARCHAR(500) PATH '$[1]')) AS listed
    STRAIGHT_JOIN ${table} t FORCE INDEX (PRIMARY) ON t.group_name = listed.group_name AND t.message_id = listed.message_id`
  const sql = {
    old: (limit: number) => `SELECT group_name, message_id, ${ms('at')} AS at FROM ${inbox} FORCE INDEX (by_age)
      WHERE state = ? AND at >= ${INSTANT} AND at < ${minusMs(now, WHOLE)} ORDER BY at LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
    attempts: these(attempts),
    failures: `${these(failure)} AND t.state = 'discarded'`,
    rows: these(inbox),
  }
  const from: Partial<Record<InboxState, number>> = {}

  async function expireOf(state: 'handled' | 'discarded', olderThan: number, limit: number): Promise<number> {
    const { deleted, last } = await own(async (tx) => {
      const { rows } = await run(tx, sql.old(limit), [state, from[state] ?? 0, Math.round(olderThan)])
      if (rows.length === 0) return { deleted: 0, last: 0 }
      const keys = [JSON.stringify(rows.map((row) => [text(row, 'group_name'), text(row, 'message_id')]))]
      for (const statement of [sql.attempts, sql.failures]) await run(tx, statement, keys)
      const { changed } = await run(tx, sql.rows, keys)
      return { deleted: changed, last: integer(rows.at(-1) ?? {}, 'at') }
    })
    // Those that were locked are older: the last call of a round begins the next one at the beginning.
    from[state] = deleted < limit ? 0 : last
    return deleted
  }

  return async (olderThan, limit) => {
    let expired = 0
    for (const state of ['handled', 'discarded'] as const) {
      for (let left = limit - expired; left > 0; left = limit - expired) {
        const most = Math.min(MOST, left)
        const deleted = await expireOf(state, olderThan, most)
        expired += deleted
        if (deleted < most) break
      }
    }
    return expired
  }
}
