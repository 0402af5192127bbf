import type { FailedAttempt, InboxSteps } from '../../spi/store.ts'
import { retryMessage } from '../shared/messages.ts'
import { flag, integer, optionalInteger } from '../shared/rows.ts'
import { textsByCount } from '../shared/statements.ts'
import { clean, idParam, ms, plusMs, unionOf, WHOLE, type MysqlContext } from './context.ts'
import type { InboxRows } from './inbox-rows.ts'

type RetrySteps<Tx> = Pick<InboxSteps<Tx>, 'due' | 'beginRetry' | 'completeRetry' | 'failRetry'>

/** What stands in the history until the attempt has ended, and for good if its process dies. */
const DIED = 'HANDLER_DIED: the process died while it handled the message, or before it could say so'

export function retrySteps<Tx>({ tables, now, read, run, own }: MysqlContext<Tx>, rows: InboxRows<Tx>): RetrySteps<Tx> {
  const { inbox_failure: failure, inbox_attempt: attempts } = tables
  // A message that was replayed, or died at once, may have an earlier one of its key that is not settled.
  const first = `(x.blocks = 0 OR (SELECT 1 FROM ${failure} e FORCE INDEX (by_key)
    WHERE e.group_name = x.group_name AND e.key_hash = x.key_hash AND e.blocks = 1 AND e.seq < x.seq
      AND e.topic = x.topic AND e.\`key\` = x.\`key\` LIMIT 1) IS NULL)`
  const ofGroup = `${failure} x FORCE INDEX (by_due) WHERE x.group_name = ? AND x.state = 'retrying'`
  const each = (count: number, statement: string): string =>
    Array<string>(count).fill(`(${statement})`).join(' UNION ALL ')
  const thisOne = 'group_name = ? AND message_id = ?'
  const sql = {
    due: (count: number, limit: number) =>
      `${each(
        count,
        `SELECT x.group_name, x.message_id, x.type, x.topic, x.\`key\`, x.source, ${ms('x.sent_at')} AS sent_at, x.causation_id,
        x.correlation_id, x.headers, x.body, x.attempts, x.attempts_in_round, x.version, x.in_progress, x.due_at, x.seq
      FROM ${ofGroup} AND x.due_at <= ${now} AND ${first} ORDER BY x.due_at LIMIT ${limit}`,
      )} ORDER BY due_at, seq LIMIT ${limit}`,
    next: textsByCount(
      (count) =>
        `SELECT ${ms('min(due_at)')} - ${ms(now)} AS next_in FROM (${unionOf(
          count,
          `SELECT x.due_at FROM ${ofGroup} AND x.due_at > ${now} AND ${first} ORDER BY x.due_at LIMIT 1`,
        )}) first`,
    ),
    lock: `SELECT blocks, attempts, in_progress FROM ${failure}
      WHERE ${thisOne} AND version = ${WHOLE} AND state = 'retrying' FOR UPDATE`,
    blocks: `SELECT blocks FROM ${failure} WHERE ${thisOne}`,
    begin: `UPDATE ${failure} FORCE INDEX (PRIMARY) SET version = version + 1, attempts = attempts + 1,
      attempts_in_round = attempts_in_round + 1, due_at = ${plusMs(now, WHOLE)}, in_progress = ?, error = ? WHERE ${thisOne}`,
    gone: `DELETE f FROM ${failure} f FORCE INDEX (PRIMARY) WHERE ${thisOne}`,
    removeAttempt: `DELETE a FROM ${attempts} a FORCE INDEX (PRIMARY) WHERE ${thisOne} AND attempt = ?`,
    // An attempt that was begun is counted already. in_progress last: the server assigns from left to right.
    fail: `UPDATE ${failure} FORCE INDEX (PRIMARY) SET version = version + 1, state = ?, reason = ?, error = ?,
        attempts = attempts + (in_progress IS NULL), attempts_in_round = attempts_in_round + (in_progress IS NULL),
        due_at = ${plusMs(now, WHOLE)}, died_at = CASE WHEN ? = 'dead' THEN ${now} END, in_progress = NULL
      WHERE ${thisOne}`,
  }

  return {
    async due(groups, limit) {
      const names = [...new Set(groups)]
      if (names.length === 0) return { due: [], nextIn: undefined }
      const due = (await read(sql.due(names.length, limit), names)).map(retryMessage)
      // There may be more than were asked for.
      if (due.length === limit) return { due, nextIn: 0 }
      const [next = {}] = await read(sql.next(names.length), names)
      return { due, nextIn: optionalInteger(next, 'next_in') }
    },

    beginRetry({ group, id, version }, processName, retryIn) {
      return own(async (tx) => {
        const which = [group, idParam(id)]
        const [row] = (await run(tx, sql.lock, [...which, version])).rows
        if (row === undefined) return undefined
        await run(tx, sql.begin, [Math.round(retryIn), processName, DIED, ...which])
        const died: FailedAttempt = { error: DIED, stack: '', process: processName }
        await rows.setAttempt(tx, group, id, integer(row, 'attempts') + 1, died)
        return version + 1
      })
    },

    async completeRetry(tx, { group, id, version, topic, key }) {
      const which = [group, idParam(id)]
      // Whether it keeps others back never changes while it is retried.
      const [found] = key === undefined ? [] : (await run(tx, sql.blocks, which)).rows
      const blocks = found !== undefined && flag(found, 'blocks')
      if (blocks && key !== undefined) await rows.lockFirst(tx, group, topic, key)
      const [row] = (await run(tx, sql.lock, [...which, version])).rows
      if (row === undefined) return false
      await run(tx, sql.gone, which)
      await rows.setState(tx, group, id, 'handled')
      // The attempt that has just succeeded stands there as "died".
      if (row['in_progress'] !== null) await run(tx, sql.removeAttempt, [...which, integer(row, 'attempts')])
      if (blocks && key !== undefined) await rows.releaseNext(tx, group, topic, key)
      return true
    },

    failRetry({ group, id, version }, attempt, next) {
      return own(async (tx) => {
        const which = [group, idParam(id)]
        const [row] = (await run(tx, sql.lock, [...which, version])).rows
        if (row === undefined) return false
        const dead = next.state === 'dead'
        await run(tx, sql.fail, [
          next.state,
          dead ? next.reason : null,
          clean(attempt.error),
          dead ? null : Math.round(next.delay),
          next.state,
          ...which,
        ])
        const number = integer(row, 'attempts') + (row['in_progress'] === null ? 1 : 0)
        await rows.setAttempt(tx, group, id, number, attempt)
        await rows.setState(tx, group, id, next.state)
        return true
      })
    },
  }
}
