import type { Act, AdminSteps, DeadLetterFilter, InboxRef } from '../../spi/admin-store.ts'
import type { Row, SqlValue } from '../../spi/driver.ts'
import { afterInstant } from '../shared/admin-pages.ts'
import { deadLetterDetail, deadLetterGroup, deadLetterRow } from '../shared/admin-rows.ts'
import { optionalText, text } from '../shared/rows.ts'
import type { WriteAudit } from './admin-audit.ts'
import { cleanOrNull, idParam, INSTANT, instantParam, ms, WHOLE, type MysqlContext } from './context.ts'
import { createInboxRows } from './inbox-rows.ts'

type DeadLetterSteps = Pick<
  AdminSteps,
  'deadLetters' | 'deadLetterGroups' | 'deadLetter' | 'editDeadLetter' | 'replayDeadLetter' | 'discardDeadLetter'
>

/** Groups that are shown; who has more of them than this has one cause behind most. */
const MOST_GROUPS = 1000

export function deadLetterSteps<Tx>(context: MysqlContext<Tx>, writeAudit: WriteAudit<Tx>): DeadLetterSteps {
  const { tables, now, read, run, own } = context
  const { inbox_failure: failure, inbox_attempt: attempts } = tables
  const rows = createInboxRows(context)
  const is = (column: string): string => `(? IS NULL OR f.${column} = ?)`
  const filtered = `f.state = 'dead' AND ${is('group_name')} AND ${is('type')} AND ${is('topic')} AND ${is('`key`')}
    AND ${is('reason')} AND (? IS NULL OR instr(f.error, ?) > 0)`
  const columns = `f.seq, f.group_name, f.message_id, f.topic, f.\`key\`, f.type, f.source, ${ms('f.sent_at')} AS sent_at, f.reason,
    f.error, f.attempts, ${ms('f.died_at')} AS died_at, CASE WHEN f.blocks = 1 THEN (
      SELECT count(*) FROM ${failure} b FORCE INDEX (by_key) WHERE b.group_name = f.group_name AND b.key_hash = f.key_hash
        AND b.blocks = 1 AND b.seq > f.seq AND b.topic = f.topic AND b.\`key\` = f.\`key\` AND b.state = 'blocked') ELSE 0 END AS blocking`
  const thisOne = `group_name = ? AND message_id = ? AND state = 'dead'`
  const sql = {
    list: (limit: number) => `SELECT ${columns} FROM ${failure} f FORCE INDEX (by_death)
      WHERE ${filtered} AND f.died_at <= ${INSTANT} AND (f.died_at < ${INSTANT} OR f.seq < ${WHOLE})
      ORDER BY f.died_at DESC, f.seq DESC LIMIT ${limit}`,
    groups: `SELECT group_name, type, first_line, count(*) AS count, ${ms('min(died_at)')} AS oldest, ${ms('max(died_at)')} AS newest
      FROM (SELECT f.group_name, f.type, f.died_at, substring_index(f.error, char(10 USING utf8mb4), 1) AS first_line
        FROM ${failure} f FORCE INDEX (by_death) WHERE ${filtered}) f
      GROUP BY group_name, type, first_line ORDER BY count DESC, newest DESC LIMIT ${MOST_GROUPS}`,
    one: `SELECT ${columns}, f.headers, f.body, f.original_body FROM ${failure} f
      WHERE f.group_name = ? AND f.message_id = ? AND f.state = 'dead'`,
    history: `SELECT attempt, ${ms('at')} AS at, error, stack, process FROM ${attempts}
      WHERE group_name = ? AND message_id = ? ORDER BY attempt`,
    find: `SELECT blocks, topic, \`key\` FROM ${failure} WHERE ${thisOne}`,
    edit: `UPDATE ${failure} FORCE INDEX (PRIMARY) SET original_body = coalesce(original_body, body), body = ?, version = version + 1 WHERE ${thisOne}`,
    replay: `UPDATE ${failure} FORCE INDEX (PRIMARY) SET state = 'retrying', due_at = ${now}, attempts_in_round = 0, version = version + 1,
      reason = NULL, died_at = NULL, in_progress = NULL WHERE ${thisOne}`,
    discard: `UPDATE ${failure} FORCE INDEX (PRIMARY) SET state = 'discarded', blocks = 0, version = version + 1 WHERE ${thisOne}`,
  }
  const whichOf = ({ group, id }: InboxRef): readonly SqlValue[] => [group, idParam(id)]

  /** One change of a dead letter with its audit row. Of two at the same moment one finds it dead. */
  const act = (
    { group, id }: InboxRef,
    by: Act,
    action: string,
    change: (tx: Tx) => Promise<boolean>,
  ): Promise<boolean> =>
    own(async (tx) => {
      if (!(await change(tx))) return false
      await writeAudit(tx, by, action, `${group}/${id}`)
      return true
    })

  return {
    async deadLetters(filter, page) {
      const [instant, seq] = afterInstant(page)
      const before = instantParam(instant)
      return (await read(sql.list(page.limit), [...conditions(filter), before, before, seq])).map(deadLetterRow)
    },

    async deadLetterGroups(filter) {
      return (await read(sql.groups, conditions(filter))).map(deadLetterGroup)
    },

    async deadLetter(ref) {
      const [row] = await read(sql.one, whichOf(ref))
      return row === undefined ? undefined : deadLetterDetail(row, await read(sql.history, whichOf(ref)))
    },

    editDeadLetter: (ref, body, by) =>
      act(ref, by, 'dead-letter.edit', async (tx) => {
        return (await run(tx, sql.edit, [body, ...whichOf(ref)])).changed > 0
      }),

    replayDeadLetter: (ref, by) =>
      act(ref, by, 'dead-letter.replay', async (tx) => {
        if ((await run(tx, sql.replay, whichOf(ref))).changed === 0) return false
        await rows.setState(tx, ref.group, ref.id, 'retrying')
        return true
      }),

    discardDeadLetter: (ref, by) =>
      act(ref, by, 'dead-letter.discard', async (tx) => {
        const [row] = (await run(tx, sql.find, whichOf(ref))).rows
        if (row === undefined) return false
        const blocked = keyOf(row)
        if (blocked !== undefined) await rows.lockFirst(tx, ref.group, ...blocked)
        if ((await run(tx, sql.discard, whichOf(ref))).changed === 0) return false
        await rows.setState(tx, ref.group, ref.id, 'discarded')
        if (blocked !== undefined) await rows.releaseNext(tx, ref.group, ...blocked)
        return true
      }),
  }
}

/** The key that a message keeps back. */
function keyOf(row: Row): readonly [topic: string, key: string] | undefined {
  const key = optionalText(row, 'key')
  return key === undefined || Number(row['blocks']) === 0 ? undefined : [text(row, 'topic'), key]
}

function conditions({ group, type, topic, key, reason, error }: DeadLetterFilter): readonly SqlValue[] {
  return [group, type, topic, key, reason, error].map(cleanOrNull).flatMap((value) => [value, value])
}
