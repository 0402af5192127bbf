import type { Act, AdminSteps, DeadLetterFilter, InboxRef } from '../../spi/admin-store.ts'
import type { SqlValue } from '../../spi/driver.ts'
import { afterInstant } from '../shared/admin-pages.ts'
import { deadLetterDetail, deadLetterGroup, deadLetterRow } from '../shared/admin-rows.ts'
import { integer, optionalText, text } from '../shared/rows.ts'
import type { WriteAudit } from './admin-audit.ts'
import { clean, cleanOrNull, instantOf, ms, type PostgresContext } from './context.ts'
import { createInboxRows, idParam, keyIs } from './inbox-rows.ts'

type DeadLetterSteps = Pick<
  AdminSteps,
  'deadLetters' | 'deadLetterGroups' | 'deadLetter' | 'editDeadLetter' | 'replayDeadLetter' | 'discardDeadLetter'
>

/** Groups that are shown; who has more of them than this has one cause behind most. */
const MOST_GROUPS = 1000

export function deadLetterSteps<Tx>(context: PostgresContext<Tx>, writeAudit: WriteAudit<Tx>): DeadLetterSteps {
  const { tables, now, read, run, own } = context
  const { inbox_failure: failure, inbox_attempt: attempts } = tables
  const rows = createInboxRows(context)
  const is = (column: string, parameter: string): string =>
    `(${parameter}::text IS NULL OR f.${column} = ${parameter}::text)`
  const filtered = `f.state = 'dead' AND ${is('group_name', '$1')} AND ${is('type', '$2')} AND ${is('topic', '$3')}
    AND ${is('key', '$4')} AND ${is('reason', '$5')} AND ($6::text IS NULL OR strpos(f.error, $6::text) > 0)`
  const columns = `f.seq::int8 AS seq, f.group_name, f.message_id, f.topic, f.key, f.type, f.source,
    ${ms('f.sent_at')} AS sent_at, f.reason, f.error, f.attempts, ${ms('f.died_at')} AS died_at,
    CASE WHEN f.blocks THEN (SELECT count(*)::int8 FROM ${failure} b WHERE b.blocks AND b.group_name = f.group_name
      AND b.topic = f.topic AND ${keyIs('b.', 'f.key')} AND b.seq > f.seq AND b.state = 'blocked') ELSE 0 END AS blocking`
  const thisOne = `group_name = $1::text AND message_id = $2::text AND state = 'dead'`
  const sql = {
    list: `SELECT ${columns} FROM ${failure} f
      WHERE ${filtered} AND (f.died_at, f.seq) < (${instantOf('$7')}, $8::float8::bigint)
      ORDER BY f.died_at DESC, f.seq DESC LIMIT $9::int4`,
    groups: `SELECT group_name, type, first_line, count(*)::int8 AS count, ${ms('min(died_at)')} AS oldest,
        ${ms('max(died_at)')} AS newest
      FROM (SELECT f.group_name, f.type, f.died_at, split_part(f.error, chr(10), 1) AS first_line
        FROM ${failure} f WHERE ${filtered}) f
      GROUP BY group_name, type, first_line ORDER BY 4 DESC, 6 DESC LIMIT ${MOST_GROUPS}`,
    one: `SELECT ${columns}, f.headers, f.body, f.original_body FROM ${failure} f
      WHERE f.group_name = $1::text AND f.message_id = $2::text AND f.state = 'dead'`,
    history: `SELECT attempt, ${ms('at')} AS at, error, stack, process FROM ${attempts}
      WHERE group_name = $1::text AND message_id = $2::text ORDER BY attempt`,
    edit: `UPDATE ${failure} SET original_body = coalesce(original_body, body), body = $3::bytea, version = version + 1
      WHERE ${thisOne}`,
    replay: `UPDATE ${failure} SET state = 'retrying', due_at = ${now}, attempts_in_round = 0, version = version + 1,
      reason = NULL, died_at = NULL, in_progress = NULL WHERE ${thisOne}`,
    discard: `UPDATE ${failure} SET state = 'discarded', blocks = false, version = version + 1
      WHERE ${thisOne} RETURNING seq::int8 AS seq, topic, key`,
  }

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
      return (await read(sql.list, [...conditions(filter), ...afterInstant(page), page.limit])).map(deadLetterRow)
    },

    async deadLetterGroups(filter) {
      return (await read(sql.groups, conditions(filter))).map(deadLetterGroup)
    },

    async deadLetter({ group, id }) {
      const [row] = await read(sql.one, [clean(group), idParam(id)])
      return row === undefined ? undefined : deadLetterDetail(row, await read(sql.history, [clean(group), idParam(id)]))
    },

    editDeadLetter: (ref, body, by) =>
      act(ref, by, 'dead-letter.edit', async (tx) => {
        return (await run(tx, sql.edit, [clean(ref.group), idParam(ref.id), body])).changed > 0
      }),

    replayDeadLetter: (ref, by) =>
      act(ref, by, 'dead-letter.replay', async (tx) => {
        if ((await run(tx, sql.replay, [clean(ref.group), idParam(ref.id)])).changed === 0) return false
        await rows.setState(tx, ref.group, ref.id, 'retrying')
        return true
      }),

    discardDeadLetter: (ref, by) =>
      act(ref, by, 'dead-letter.discard', async (tx) => {
        const { group, id } = ref
        const params = [clean(group), idParam(id)]
        const [row] = (await run(tx, sql.discard, params)).rows
        if (row === undefined) return false
        await rows.setState(tx, group, id, 'discarded')
        const key = optionalText(row, 'key')
        if (key !== undefined) await rows.releaseNext(tx, group, text(row, 'topic'), key, integer(row, 'seq'))
        return true
      }),
  }
}

function conditions({ group, type, topic, key, reason, error }: DeadLetterFilter): readonly SqlValue[] {
  return [group, type, topic, key, reason, error].map(cleanOrNull)
}
