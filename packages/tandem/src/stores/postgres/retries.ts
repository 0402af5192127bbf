import type { InboxSteps } from '../../spi/store.ts'
import { retryMessage } from '../shared/messages.ts'
import { flag, integer, optionalInteger, optionalText, text } from '../shared/rows.ts'
import { clean, ms, plusMs, ROW_BY_ROW, type PostgresContext } from './context.ts'
import { idParam, keyIs, type InboxRows } from './inbox-rows.ts'

type RetrySteps<Tx> = Pick<InboxSteps<Tx>, 'due' | 'beginRetry' | 'completeRetry' | 'failRetry'>

/** What stands in the history until the attempt has ended, and for good if its process dies. */
const DIED = 'HANDLER_DIED: the process died while it handled the message, or before it could say so'

/** The end of an INSERT of a failed attempt: in place of what was there under its number. */
export const SET_ATTEMPT = `ON CONFLICT (group_name, message_id, attempt) DO UPDATE
  SET at = excluded.at, error = excluded.error, stack = excluded.stack, process = excluded.process`

export function retrySteps<Tx>({ tables, now, read, run }: PostgresContext<Tx>, rows: InboxRows<Tx>): RetrySteps<Tx> {
  const { inbox, inbox_failure: failure, inbox_attempt: attempts } = tables
  // A message that was replayed, or died at once, may have an earlier one of its key that is not settled.
  const first = `(NOT x.blocks OR NOT EXISTS (SELECT 1 FROM ${failure} e WHERE e.blocks
    AND e.group_name = x.group_name AND e.topic = x.topic AND ${keyIs('e.', 'x.key')} AND e.seq < x.seq ${ROW_BY_ROW}))`
  const groups = `json_array_elements_text($1::text::json) AS g (name)`
  const ofGroup = `x.state = 'retrying' AND x.group_name = g.name`
  const thisOne = 'group_name = $1::text AND message_id = $2::text'
  const thisVersion = `${thisOne} AND version = $3::int4 AND state = 'retrying'`
  const sql = {
    due: `SELECT group_name, message_id, type, topic, key, source, ${ms('sent_at')} AS sent_at, causation_id, correlation_id,
        headers, body, attempts, attempts_in_round, version, in_progress
      FROM (SELECT picked.* FROM ${groups} CROSS JOIN LATERAL (
        SELECT x.* FROM ${failure} x WHERE ${ofGroup} AND x.due_at <= ${now} AND ${first}
        ORDER BY x.due_at LIMIT $2::int4) picked) due
      ORDER BY due_at, seq LIMIT $2::int4`,
    next: `SELECT ${ms('min(next.due_at)')} - ${ms(now)} AS next_in FROM ${groups} CROSS JOIN LATERAL (
      SELECT x.due_at FROM ${failure} x WHERE ${ofGroup} AND x.due_at > ${now} AND ${first} ORDER BY x.due_at LIMIT 1) next`,
    begin: `WITH begun AS (
        UPDATE ${failure} SET version = version + 1, attempts = attempts + 1, attempts_in_round = attempts_in_round + 1,
          due_at = ${plusMs(now, '$4')}, in_progress = $5::text, error = $6::text WHERE ${thisVersion} RETURNING version, attempts),
      noted AS (INSERT INTO ${attempts} (group_name, message_id, attempt, at, error, stack, process)
        SELECT $1::text, $2::text, attempts, ${now}, $6::text, '', $5::text FROM begun ${SET_ATTEMPT})
      SELECT version FROM begun`,
    // The attempt that has just succeeded stands there as "died".
    complete: `WITH gone AS (DELETE FROM ${failure} WHERE ${thisVersion} RETURNING seq, topic, key, blocks, attempts, in_progress),
      handled AS (UPDATE ${inbox} SET state = 'handled', at = ${now} WHERE ${thisOne} AND EXISTS (SELECT 1 FROM gone)),
      cleared AS (DELETE FROM ${attempts} a USING gone WHERE a.group_name = $1::text AND a.message_id = $2::text
        AND a.attempt = gone.attempts AND gone.in_progress IS NOT NULL)
      SELECT seq::int8 AS seq, topic, key, blocks FROM gone`,
    // An attempt that was begun is counted already.
    fail: `WITH failed AS (
        UPDATE ${failure} SET version = version + 1, state = $4::text, reason = $5::text, error = $6::text,
          attempts = attempts + (in_progress IS NULL)::int, attempts_in_round = attempts_in_round + (in_progress IS NULL)::int,
          due_at = ${plusMs(now, '$7')}, died_at = CASE WHEN $4::text = 'dead' THEN ${now} END, in_progress = NULL
        WHERE ${thisVersion} RETURNING attempts),
      noted AS (INSERT INTO ${attempts} (group_name, message_id, attempt, at, error, stack, process)
        SELECT $1::text, $2::text, attempts, ${now}, $6::text, $8::text, $9::text FROM failed ${SET_ATTEMPT}),
      changed AS (UPDATE ${inbox} SET state = $4::text, at = ${now} WHERE ${thisOne} AND EXISTS (SELECT 1 FROM failed))
      SELECT attempts FROM failed`,
  }

  return {
    async due(names, limit) {
      const wanted = JSON.stringify([...new Set(names)])
      const due = (await read(sql.due, [wanted, limit])).map(retryMessage)
      // There may be more than were asked for.
      if (due.length === limit) return { due, nextIn: 0 }
      const [next = {}] = await read(sql.next, [wanted])
      return { due, nextIn: optionalInteger(next, 'next_in') }
    },

    async beginRetry({ group, id, version }, processName, retryIn) {
      const [row] = await read(sql.begin, [group, idParam(id), version, Math.round(retryIn), processName, DIED])
      return row === undefined ? undefined : integer(row, 'version')
    },

    async completeRetry(tx, { group, id, version }) {
      const [row] = (await run(tx, sql.complete, [group, idParam(id), version])).rows
      if (row === undefined) return false
      const key = optionalText(row, 'key')
      if (flag(row, 'blocks') && key !== undefined) {
        await rows.releaseNext(tx, group, text(row, 'topic'), key, integer(row, 'seq'))
      }
      return true
    },

    async failRetry({ group, id, version }, attempt, next) {
      const dead = next.state === 'dead'
      const failed = await read(sql.fail, [
        group,
        idParam(id),
        version,
        next.state,
        dead ? next.reason : null,
        clean(attempt.error),
        dead ? null : Math.round(next.delay),
        clean(attempt.stack),
        attempt.process,
      ])
      return failed.length > 0
    },
  }
}
