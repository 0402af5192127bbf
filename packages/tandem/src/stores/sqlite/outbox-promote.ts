import type { OutboxSteps } from '../../spi/store.ts'
import type { SqliteContext } from './context.ts'
import type { Fences } from './fences.ts'
import { earlierHeld } from './outbox-behind.ts'
import { integer, optionalInteger } from '../shared/rows.ts'

/**
 * A delayed message gets a new place at the end, for its place is when it is due. A waiting one gets its old place back, and not before
 * every earlier one of its key.
 */
export function createPromote<Tx>(
  { driver, tables, now, read, run }: SqliteContext<Tx>,
  fencing: Fences<Tx>,
): OutboxSteps<Tx>['promote'] {
  const { outbox, outbox_held: held } = tables
  const free = `NOT ${earlierHeld(held, 'x')}`
  const moved = 'shard, id, topic, key, type, headers, body, attempts, first_failed_at'
  const sql = {
    next: `SELECT min(due) - ${now} AS next_in FROM (
      SELECT (SELECT x.due_at FROM ${held} x WHERE x.shard = s.value AND x.due_at IS NOT NULL AND ${free}
        ORDER BY x.due_at LIMIT 1) AS due
      FROM json_each(?) s)`,
    due: `SELECT h.seq FROM json_each(?) s CROSS JOIN ${held} h ON h.seq IN (
        SELECT x.seq FROM ${held} x WHERE x.shard = s.value AND x.due_at <= ${now} AND ${free}
        ORDER BY x.due_at LIMIT ?)
      ORDER BY h.due_at, h.seq LIMIT ?`,
    delayed: `INSERT INTO ${outbox} (${moved}, written_at) SELECT ${moved}, ${now} FROM ${held}
      WHERE seq IN (SELECT value FROM json_each(?)) AND state = 'delayed' ORDER BY due_at, seq`,
    waiting: `INSERT INTO ${outbox} (position, ${moved}, releases, written_at) SELECT position, ${moved}, 1, written_at
      FROM ${held} WHERE seq IN (SELECT value FROM json_each(?)) AND state = 'waiting'`,
    gone: `DELETE FROM ${held} WHERE seq IN (SELECT value FROM json_each(?))`,
  }

  return async (fences, limit) => {
    const shards = JSON.stringify(fences.map(({ shard }) => shard))
    const nextIn = async (): Promise<number | undefined> => {
      const [row = {}] = await read(sql.next, [shards])
      const ms = optionalInteger(row, 'next_in')
      return ms === undefined ? undefined : Math.max(0, ms)
    }
    // An idle relay asks all the time: only what changes something takes the writer's turn.
    const before = await nextIn()
    if (before === undefined || before > 0) return { promoted: 0, nextIn: before }
    const promoted = await driver.transaction(async (tx) => {
      await fencing.require(tx, fences)
      const { rows } = await run(tx, sql.due, [shards, limit, limit])
      if (rows.length === 0) return 0
      const seqs = JSON.stringify(rows.map((row) => integer(row, 'seq')))
      await run(tx, sql.delayed, [seqs])
      await run(tx, sql.waiting, [seqs])
      await run(tx, sql.gone, [seqs])
      return rows.length
    })
    return { promoted, nextIn: await nextIn() }
  }
}
