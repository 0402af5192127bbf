import type { AdminSteps, Page } from '../../spi/admin-store.ts'
import type { Row } from '../../spi/driver.ts'
import type { WriteAudit } from './admin-audit.ts'
import { after } from '../shared/admin-pages.ts'
import { halfRow, heldRow } from '../shared/admin-rows.ts'
import type { SqliteContext } from './context.ts'
import { createReleaseBehind } from './outbox-behind.ts'
import { optionalText, text } from '../shared/rows.ts'

type ProducerSteps = Pick<AdminSteps, 'halfMessages' | 'heldMessages' | 'retryHeld' | 'discardHeld'>

/** What a person sees and decides on the producer's side: half messages, and messages that the relay has set aside. */
export function producerSteps<Tx>(context: SqliteContext<Tx>, writeAudit: WriteAudit<Tx>): ProducerSteps {
  const { driver, tables, now, read, run } = context
  const { half, outbox_held: held } = tables
  const releaseBehind = createReleaseBehind(context)
  /** All rows, or those of one state; a statement each, so that both are read from an index. */
  const list = (select: string): ((state: string | undefined, page: Page) => Promise<readonly Row[]>) => {
    const all = `${select} WHERE seq < ? ORDER BY seq DESC LIMIT ?`
    const ofState = `${select} WHERE state = ? AND seq < ? ORDER BY seq DESC LIMIT ?`
    return (state, page) =>
      state === undefined ? read(all, [after(page), page.limit]) : read(ofState, [state, after(page), page.limit])
  }
  const sql = {
    half: list(
      `SELECT seq, id, topic, type, key, state, barrier, answered, last_error, prepared_at, next_check_at, decided_at
        FROM ${half}`,
    ),
    held: list(`SELECT seq, id, topic, type, key, state, attempts, error, due_at FROM ${held}`),
    // Who lets an unsendable message try again gives it its whole time anew.
    retry: `UPDATE ${held} SET first_failed_at = CASE state WHEN 'waiting' THEN first_failed_at END,
      state = 'waiting', due_at = ${now} WHERE id = ? AND state IN ('waiting', 'unsendable')`,
    discard: `DELETE FROM ${held} WHERE id = ? AND state = 'unsendable' RETURNING topic, key`,
  }

  return {
    async halfMessages({ state }, page) {
      return (await sql.half(state, page)).map(halfRow)
    },

    async heldMessages({ state }, page) {
      return (await sql.held(state, page)).map(heldRow)
    },

    retryHeld: (id, act) =>
      driver.transaction(async (tx) => {
        if ((await run(tx, sql.retry, [id])).changed === 0) return false
        await writeAudit(tx, act, 'outbox.retry', id)
        return true
      }),

    discardHeld: (id, act) =>
      driver.transaction(async (tx) => {
        const { rows } = await run(tx, sql.discard, [id])
        for (const row of rows) {
          const key = optionalText(row, 'key')
          if (key !== undefined) await releaseBehind(tx, text(row, 'topic'), key)
        }
        if (rows.length > 0) await writeAudit(tx, act, 'outbox.discard', id)
        return rows.length > 0
      }),
  }
}
