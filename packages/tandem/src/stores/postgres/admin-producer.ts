import type { AdminSteps, Page } from '../../spi/admin-store.ts'
import type { Row } from '../../spi/driver.ts'
import { after } from '../shared/admin-pages.ts'
import { halfRow, heldRow } from '../shared/admin-rows.ts'
import { integer, optionalText, text } from '../shared/rows.ts'
import type { WriteAudit } from './admin-audit.ts'
import { clean, ms, type PostgresContext } from './context.ts'
import { createLockHeld, createReleaseBehind } from './outbox-behind.ts'

type ProducerSteps = Pick<AdminSteps, 'halfMessages' | 'heldMessages' | 'retryHeld' | 'discardHeld'>

/** What a person sees and decides on the producer's side: half messages, and messages that the relay has set aside. */
export function producerSteps<Tx>(context: PostgresContext<Tx>, writeAudit: WriteAudit<Tx>): ProducerSteps {
  const { tables, now, read, run, own } = context
  const { half, outbox_held: held } = tables
  const lockHeld = createLockHeld(context)
  const releaseBehind = createReleaseBehind(context)
  /** All rows, or those of one state; a statement each, so that both are read from an index. */
  const list = (
    columns: string,
    table: string,
  ): ((state: string | undefined, page: Page) => Promise<readonly Row[]>) => {
    const select = `SELECT t.seq::int8 AS seq, ${columns} FROM ${table} t`
    const all = `${select} WHERE t.seq < $1::float8::bigint ORDER BY t.seq DESC LIMIT $2::int4`
    const ofState = `${select} WHERE t.state = $3::text AND t.seq < $1::float8::bigint ORDER BY t.seq DESC LIMIT $2::int4`
    return (state, page) =>
      state === undefined ? read(all, [after(page), page.limit]) : read(ofState, [after(page), page.limit, state])
  }
  const sql = {
    half: list(
      `t.id, t.topic, t.type, t.key, t.state, t.barrier, t.answered, t.last_error, ${ms('t.prepared_at')} AS prepared_at,
        ${ms('t.next_check_at')} AS next_check_at, ${ms('t.decided_at')} AS decided_at`,
      half,
    ),
    held: list(`t.id, t.topic, t.type, t.key, t.state, t.attempts, t.error, ${ms('t.due_at')} AS due_at`, held),
    // Who lets an unsendable message try again gives it its whole time anew.
    retry: `UPDATE ${held} SET first_failed_at = CASE state WHEN 'waiting' THEN first_failed_at END,
      state = 'waiting', due_at = ${now} WHERE id = $1::text AND state IN ('waiting', 'unsendable')`,
    find: `SELECT shard::int4 AS shard FROM ${held} WHERE id = $1::text AND state = 'unsendable'`,
    discard: `DELETE FROM ${held} WHERE id = $1::text AND state = 'unsendable' RETURNING topic, key`,
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
        if ((await run(tx, sql.retry, [clean(id)])).changed === 0) return false
        await writeAudit(tx, act, 'outbox.retry', id)
        return true
      }),

    discardHeld: (id, act) =>
      own(async (tx) => {
        const { rows: found } = await run(tx, sql.find, [clean(id)])
        if (found.length === 0) return false
        // What the relay sets aside behind it at this moment is to come back, too.
        await lockHeld(
          tx,
          found.map((row) => integer(row, 'shard')),
        )
        const { rows } = await run(tx, sql.discard, [clean(id)])
        for (const row of rows) {
          const key = optionalText(row, 'key')
          if (key !== undefined) await releaseBehind(tx, text(row, 'topic'), key)
        }
        if (rows.length > 0) await writeAudit(tx, act, 'outbox.discard', id)
        return rows.length > 0
      }),
  }
}
