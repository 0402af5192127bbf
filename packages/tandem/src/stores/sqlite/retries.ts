import type { FailedAttempt, InboxSteps } from '../../spi/store.ts'
import { retryMessage } from '../shared/messages.ts'
import type { SqliteContext } from './context.ts'
import { MESSAGE_COLUMNS, type InboxRows } from './inbox-rows.ts'
import { flag, integer, optionalInteger, optionalText, text } from '../shared/rows.ts'

type RetrySteps<Tx> = Pick<InboxSteps<Tx>, 'due' | 'beginRetry' | 'completeRetry' | 'failRetry'>

/** What stands in the history until the attempt has ended, and for good if its process dies. */
const DIED = 'HANDLER_DIED: the process died while it handled the message, or before it could say so'

export function retrySteps<Tx>(
  { driver, tables, now, read, run }: SqliteContext<Tx>,
  rows: InboxRows<Tx>,
): RetrySteps<Tx> {
  const { inbox_failure: failure } = tables
  // A message that was replayed, or died at once, may have an earlier one of its key that is not settled.
  const first = `(x.blocks = 0 OR NOT EXISTS (SELECT 1 FROM ${failure} e WHERE e.blocks = 1
    AND e.group_name = x.group_name AND e.topic = x.topic AND e.key = x.key AND e.seq < x.seq))`
  const sql = {
    due: `SELECT ${MESSAGE_COLUMNS}, headers, body, attempts, attempts_in_round, version, in_progress
      FROM ${failure} f WHERE f.seq IN (
        SELECT picked.seq FROM json_each(?) g CROSS JOIN ${failure} picked ON picked.seq IN (
          SELECT x.seq FROM ${failure} x WHERE x.state = 'retrying' AND x.group_name = g.value AND x.due_at <= ${now}
            AND ${first} ORDER BY x.due_at LIMIT ?))
      ORDER BY f.due_at, f.seq LIMIT ?`,
    next: `SELECT min(due) - ${now} AS next_in FROM (
      SELECT (SELECT x.due_at FROM ${failure} x WHERE x.state = 'retrying' AND x.group_name = g.value
        AND x.due_at > ${now} AND ${first} ORDER BY x.due_at LIMIT 1) AS due FROM json_each(?) g)`,
    begin: `UPDATE ${failure} SET version = version + 1, attempts = attempts + 1,
        attempts_in_round = attempts_in_round + 1, due_at = ${now} + ?, in_progress = ?, error = ?
      WHERE group_name = ? AND message_id = ? AND version = ? AND state = 'retrying' RETURNING version, attempts`,
    complete: `DELETE FROM ${failure} WHERE group_name = ? AND message_id = ? AND version = ? AND state = 'retrying'
      RETURNING topic, key, blocks, attempts, in_progress`,
    // An attempt that was begun is counted already.
    fail: `UPDATE ${failure} SET version = version + 1, state = ?, reason = ?, error = ?,
        attempts = attempts + (in_progress IS NULL), attempts_in_round = attempts_in_round + (in_progress IS NULL),
        due_at = ${now} + ?, died_at = CASE WHEN ? = 'dead' THEN ${now} END, in_progress = NULL
      WHERE group_name = ? AND message_id = ? AND version = ? AND state = 'retrying' RETURNING attempts`,
  }

  return {
    async due(groups, limit) {
      const names = JSON.stringify([...new Set(groups)])
      const due = (await read(sql.due, [names, limit, limit])).map(retryMessage)
      // There may be more than were asked for.
      if (due.length === limit) return { due, nextIn: 0 }
      const [next = {}] = await read(sql.next, [names])
      return { due, nextIn: optionalInteger(next, 'next_in') }
    },

    beginRetry({ group, id, version }, processName, retryIn) {
      return driver.transaction(async (tx) => {
        const begun = await run(tx, sql.begin, [Math.round(retryIn), processName, DIED, group, id, version])
        const row = begun.rows[0]
        if (row === undefined) return undefined
        const died: FailedAttempt = { error: DIED, stack: '', process: processName }
        await rows.setAttempt(tx, group, id, integer(row, 'attempts'), died)
        return integer(row, 'version')
      })
    },

    async completeRetry(tx, { group, id, version }) {
      const row = (await run(tx, sql.complete, [group, id, version])).rows[0]
      if (row === undefined) return false
      await rows.finish(tx, group, id, 'handled')
      // The attempt that has just succeeded stands there as "died".
      if (row['in_progress'] !== null) await rows.removeAttempt(tx, group, id, integer(row, 'attempts'))
      const key = optionalText(row, 'key')
      if (flag(row, 'blocks') && key !== undefined) await rows.releaseNext(tx, group, text(row, 'topic'), key)
      return true
    },

    failRetry({ group, id, version }, attempt, next) {
      return driver.transaction(async (tx) => {
        const dead = next.state === 'dead'
        const failed = await run(tx, sql.fail, [
          next.state,
          dead ? next.reason : null,
          attempt.error,
          dead ? null : Math.round(next.delay),
          next.state,
          group,
          id,
          version,
        ])
        const row = failed.rows[0]
        if (row === undefined) return false
        await rows.setAttempt(tx, group, id, integer(row, 'attempts'), attempt)
        await rows.setState(tx, group, id, next.state)
        return true
      })
    },
  }
}
