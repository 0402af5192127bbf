import type { AdminSteps, Page } from '../../spi/admin-store.ts'
import type { Row } from '../../spi/driver.ts'
import { after } from '../shared/admin-pages.ts'
import { halfRow, heldRow } from '../shared/admin-rows.ts'
import { integer, optionalText, text } from '../shared/rows.ts'
import type { WriteAudit } from './admin-audit.ts'
import { idParam, ms, WHOLE, type MysqlContext } from './context.ts'
import { createReleaseBehind } from './outbox-behind.ts'
import { createLockHeld } from './turns.ts'

type ProducerSteps = Pick<AdminSteps, 'halfMessages' | 'heldMessages' | 'retryHeld' | 'discardHeld'>

/** What a person sees and decides on the producer's side: half messages, and messages that the relay has set aside. */
export function producerSteps<Tx>(context: MysqlContext<Tx>, writeAudit: WriteAudit<Tx>): ProducerSteps {
  const { tables, now, read, run, own } = context
  const { half, outbox_held: held } = tables
  const lockHeld = createLockHeld(context)
  const releaseBehind = createReleaseBehind(context)
  /** All rows, or those of one state; a statement each, so that both are read from an index. */
  const list =
    (columns: string, table: string, bySeq: string) =>
    (state: string | undefined, page: Page): Promise<readonly Row[]> => {
      const [index, condition] = state === undefined ? [bySeq, ''] : ['by_state', 't.state = ? AND ']
      const sql = `SELECT t.seq, ${columns} FROM ${table} t FORCE INDEX (${index})
        WHERE ${condition}t.seq < ${WHOLE} ORDER BY t.seq DESC LIMIT ${page.limit}`
      return read(sql, [...(state === undefined ? [] : [state]), after(page)])
    }
  const sql = {
    half: list(
      `t.id, t.topic, t.type, t.\`key\`, t.state, t.barrier, t.answered, t.last_error, ${ms('t.prepared_at')} AS prepared_at,
        ${ms('t.next_check_at')} AS next_check_at, ${ms('t.decided_at')} AS decided_at`,
      half,
      'by_seq',
    ),
    held: list(
      `t.id, t.topic, t.type, t.\`key\`, t.state, t.attempts, t.error, ${ms('t.due_at')} AS due_at`,
      held,
      'PRIMARY',
    ),
    // Who lets an unsendable message try again gives it its whole time anew. The state last: the server assigns from left to right.
    retry: `UPDATE ${held} FORCE INDEX (by_id) SET first_failed_at = CASE state WHEN 'waiting' THEN first_failed_at END, due_at = ${now},
      state = 'waiting' WHERE id = ? AND state IN ('waiting', 'unsendable')`,
    retried: `SELECT seq FROM ${held} FORCE INDEX (by_id) WHERE id = ? AND state IN ('waiting', 'unsendable') FOR UPDATE`,
    find: `SELECT shard FROM ${held} FORCE INDEX (by_id) WHERE id = ? AND state = 'unsendable'`,
    lock: `SELECT topic, \`key\` FROM ${held} FORCE INDEX (by_id) WHERE id = ? AND state = 'unsendable' FOR UPDATE`,
    discard: `DELETE h FROM ${held} h FORCE INDEX (by_id) WHERE h.id = ? AND h.state = 'unsendable'`,
  }

  return {
    async halfMessages({ state }, page) {
      return (await sql.half(state, page)).map(halfRow)
    },

    async heldMessages({ state }, page) {
      return (await sql.held(state, page)).map(heldRow)
    },

    retryHeld: (id, act) =>
      own(async (tx) => {
        // The number of changed rows does not tell: it may be one that changes nothing.
        if ((await run(tx, sql.retried, [idParam(id)])).rows.length === 0) return false
        await run(tx, sql.retry, [idParam(id)])
        await writeAudit(tx, act, 'outbox.retry', id)
        return true
      }),

    discardHeld: (id, act) =>
      own(async (tx) => {
        const { rows: found } = await run(tx, sql.find, [idParam(id)])
        if (found.length === 0) return false
        // What the relay sets aside behind it at this moment is to come back, too.
        await lockHeld(
          tx,
          found.map((row) => integer(row, 'shard')),
        )
        const { rows } = await run(tx, sql.lock, [idParam(id)])
        if (rows.length === 0) return false
        await run(tx, sql.discard, [idParam(id)])
        for (const row of rows) {
          const key = optionalText(row, 'key')
          if (key !== undefined) await releaseBehind(tx, text(row, 'topic'), key)
        }
        await writeAudit(tx, act, 'outbox.discard', id)
        return true
      }),
  }
}
