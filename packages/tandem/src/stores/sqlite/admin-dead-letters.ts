import type { AdminSteps, DeadLetterFilter, InboxRef } from '../../spi/admin-store.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { WriteAudit } from './admin-audit.ts'
import { afterInstant } from '../shared/admin-pages.ts'
import { deadLetterDetail, deadLetterGroup, deadLetterRow } from '../shared/admin-rows.ts'
import type { SqliteContext } from './context.ts'
import { createInboxRows } from './inbox-rows.ts'
import { optionalText, text } from '../shared/rows.ts'

type DeadLetterSteps = Pick<
  AdminSteps,
  'deadLetters' | 'deadLetterGroups' | 'deadLetter' | 'editDeadLetter' | 'replayDeadLetter' | 'discardDeadLetter'
>

/** Groups that are shown; who has more of them than this has one cause behind most. */
const MOST_GROUPS = 1000

export function deadLetterSteps<Tx>(context: SqliteContext<Tx>, writeAudit: WriteAudit<Tx>): DeadLetterSteps {
  const { driver, prefix, tables, now, read, run } = context
  const { inbox_failure: failure, inbox_attempt: attempts } = tables
  const rows = createInboxRows(context)
  const filtered = `f.state = 'dead' AND (? IS NULL OR f.group_name = ?) AND (? IS NULL OR f.type = ?)
    AND (? IS NULL OR f.topic = ?) AND (? IS NULL OR f.key = ?) AND (? IS NULL OR f.reason = ?)
    AND (? IS NULL OR instr(f.error, ?) > 0)`
  const columns = `f.seq, f.group_name, f.message_id, f.topic, f.key, f.type, f.source, f.sent_at, f.reason, f.error,
    f.attempts, f.died_at, CASE WHEN f.blocks = 1 THEN (SELECT count(*) FROM ${failure} b WHERE b.blocks = 1
      AND b.group_name = f.group_name AND b.topic = f.topic AND b.key = f.key AND b.seq > f.seq
      AND b.state = 'blocked') ELSE 0 END AS blocking`
  const changed = `WHERE group_name = ? AND message_id = ? AND state = 'dead'`
  const sql = {
    list: `SELECT ${columns} FROM ${failure} f WHERE ${filtered} AND (f.died_at, f.seq) < (?, ?)
      ORDER BY f.died_at DESC, f.seq DESC LIMIT ?`,
    groups: `SELECT group_name, type, first_line, count(*) AS count, min(died_at) AS oldest, max(died_at) AS newest
      FROM (SELECT f.group_name, f.type, f.died_at, CASE WHEN instr(f.error, char(10)) > 0
        THEN substr(f.error, 1, instr(f.error, char(10)) - 1) ELSE f.error END AS first_line
        FROM ${failure} f INDEXED BY ${prefix}inbox_failure_dead WHERE ${filtered})
      GROUP BY group_name, type, first_line ORDER BY count DESC, newest DESC LIMIT ${MOST_GROUPS}`,
    one: `SELECT ${columns}, f.headers, f.body, f.original_body FROM ${failure} f
      WHERE f.group_name = ? AND f.message_id = ? AND f.state = 'dead'`,
    history: `SELECT attempt, at, error, stack, process FROM ${attempts}
      WHERE group_name = ? AND message_id = ? ORDER BY attempt`,
    edit: `UPDATE ${failure} SET original_body = coalesce(original_body, body), body = ?, version = version + 1 ${changed}`,
    replay: `UPDATE ${failure} SET state = 'retrying', due_at = ${now}, attempts_in_round = 0, version = version + 1,
      reason = NULL, died_at = NULL, in_progress = NULL ${changed}`,
    discard: `UPDATE ${failure} SET state = 'discarded', blocks = 0, version = version + 1 ${changed}
      RETURNING topic, key`,
  }

  /** One change of a dead letter with its audit row. Of two at the same moment one finds it dead. */
  const act = (
    { group, id }: InboxRef,
    by: Parameters<WriteAudit<Tx>>[1],
    action: string,
    change: (tx: Tx) => Promise<boolean>,
  ): Promise<boolean> =>
    driver.transaction(async (tx) => {
      if (!(await change(tx))) return false
      await writeAudit(tx, by, action, `${group}/${id}`)
      return true
    })

  return {
    async deadLetters(filter, page) {
      return (await read(sql.list, [...conditions(filter), ...afterInstant(page), page.limit])).map(deadLetterRow)
    },

    async deadLetterGroups(filter) {
      return (await read(sql.groups, conditions(filter))).map(deadLetterGroup)
    },

    async deadLetter({ group, id }) {
      const [row] = await read(sql.one, [group, id])
      return row === undefined ? undefined : deadLetterDetail(row, await read(sql.history, [group, id]))
    },

    editDeadLetter: (ref, body, by) =>
      act(ref, by, 'dead-letter.edit', async (tx) => {
        return (await run(tx, sql.edit, [body, ref.group, ref.id])).changed > 0
      }),

    replayDeadLetter: (ref, by) =>
      act(ref, by, 'dead-letter.replay', async (tx) => {
        if ((await run(tx, sql.replay, [ref.group, ref.id])).changed === 0) return false
        await rows.setState(tx, ref.group, ref.id, 'retrying')
        return true
      }),

    discardDeadLetter: (ref, by) =>
      act(ref, by, 'dead-letter.discard', async (tx) => {
        const [row] = (await run(tx, sql.discard, [ref.group, ref.id])).rows
        if (row === undefined) return false
        await rows.finish(tx, ref.group, ref.id, 'discarded')
        const key = optionalText(row, 'key')
        if (key !== undefined) await rows.releaseNext(tx, ref.group, text(row, 'topic'), key)
        return true
      }),
  }
}

function conditions({ group, type, topic, key, reason, error }: DeadLetterFilter): SqlValue[] {
  return [group, type, topic, key, reason, error].flatMap((value) => [value ?? null, value ?? null])
}
