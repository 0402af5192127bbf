import type { OutboxSteps } from '../../spi/store.ts'
import { integer, optionalInteger } from '../shared/rows.ts'
import { ms, type PostgresContext } from './context.ts'
import type { Fences } from './fences.ts'
import { createLockHeld, earlierHeld } from './outbox-behind.ts'

/**
 * A delayed message gets a new place at the end, for its place is when it is due. A waiting one gets its old place back, and not before
 * every earlier one of its key.
 */
export function createPromote<Tx>(context: PostgresContext<Tx>, fencing: Fences<Tx>): OutboxSteps<Tx>['promote'] {
  const { tables, now, read, run, own } = context
  const { outbox, outbox_held: held } = tables
  const lockHeld = createLockHeld(context)
  const free = `NOT ${earlierHeld(held, 'x')}`
  const moved = 'shard, id, topic, key, type, headers, body, attempts, first_failed_at'
  const shards = `json_array_elements_text($1::text::json) AS s (shard)`
  const sql = {
    next: `SELECT ${ms('min(first.due_at)')} - ${ms(now)} AS next_in FROM ${shards} CROSS JOIN LATERAL (
      SELECT x.due_at FROM ${held} x WHERE x.shard = s.shard::smallint AND x.due_at IS NOT NULL AND ${free}
      ORDER BY x.due_at LIMIT 1) first`,
    promote: `WITH due AS (
        SELECT first.seq FROM ${shards} CROSS JOIN LATERAL (
          SELECT x.seq, x.due_at FROM ${held} x WHERE x.shard = s.shard::smallint AND x.due_at <= ${now} AND ${free}
          ORDER BY x.due_at, x.seq LIMIT $2::int4) first
        ORDER BY first.due_at, first.seq LIMIT $2::int4),
      gone AS (DELETE FROM ${held} WHERE seq = ANY (ARRAY (SELECT seq FROM due))
        RETURNING seq, position, due_at, state, written_at, ${moved}),
      delayed AS (INSERT INTO ${outbox} (${moved}, written_at)
        SELECT ${moved}, ${now} FROM gone WHERE state = 'delayed' ORDER BY due_at, seq),
      waiting AS (INSERT INTO ${outbox} (position, ${moved}, releases, written_at)
        SELECT position, ${moved}, true, written_at FROM gone WHERE state = 'waiting')
      SELECT count(*)::int4 AS promoted FROM gone`,
  }

  return async (fences, limit) => {
    const mine = fences.map(({ shard }) => shard)
    const nextIn = async (): Promise<number | undefined> => {
      const [row = {}] = await read(sql.next, [JSON.stringify(mine)])
      const left = optionalInteger(row, 'next_in')
      return left === undefined ? undefined : Math.max(0, left)
    }
    // An idle relay asks all the time: only what changes something takes locks.
    const before = await nextIn()
    if (before === undefined || before > 0) return { promoted: 0, nextIn: before }
    const promoted = await own(async (tx) => {
      await lockHeld(tx, mine)
      await fencing.require(tx, fences)
      const { rows } = await run(tx, sql.promote, [JSON.stringify(mine), limit])
      return integer(rows[0] ?? {}, 'promoted')
    })
    return { promoted, nextIn: await nextIn() }
  }
}
