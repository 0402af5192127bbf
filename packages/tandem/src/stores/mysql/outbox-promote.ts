import type { OutboxSteps } from '../../spi/store.ts'
import { integer, optionalInteger } from '../shared/rows.ts'
import { textsByCount } from '../shared/statements.ts'
import { ms, NUMBERS, unionOf, type MysqlContext } from './context.ts'
import type { Fences } from './fences.ts'
import { earlierHeld } from './outbox-behind.ts'
import { createLockHeld } from './turns.ts'

/**
 * A delayed message gets a new place at the end, for its place is when it is due. A waiting one gets its old place back, and not before
 * every earlier one of its key.
 */
export function createPromote<Tx>(context: MysqlContext<Tx>, fencing: Fences<Tx>): OutboxSteps<Tx>['promote'] {
  const { tables, now, read, run, own } = context
  const { outbox, outbox_back: back, outbox_held: held } = tables
  const lockHeld = createLockHeld(context)
  const moved = 'shard, id, topic, `key`, type, headers, body, attempts, first_failed_at'
  const listed = `FROM ${NUMBERS} listed STRAIGHT_JOIN ${held} h FORCE INDEX (PRIMARY) ON h.seq = listed.value`
  /** The first of each shard from its index, a shard a parameter. */
  const eachShard = (count: number, condition: string, limit: number): string =>
    unionOf(
      count,
      `SELECT x.seq, x.due_at FROM ${held} x FORCE INDEX (by_due)
        WHERE x.shard = ? AND x.due_at ${condition} AND NOT ${earlierHeld(held, 'x')} ORDER BY x.due_at LIMIT ${limit}`,
    )
  const sql = {
    next: textsByCount(
      (count) => `SELECT ${ms('min(due_at)')} - ${ms(now)} AS next_in FROM (${eachShard(count, 'IS NOT NULL', 1)}) due`,
    ),
    due: (count: number, limit: number) =>
      `SELECT seq FROM (${eachShard(count, `<= ${now}`, limit)}) due ORDER BY due_at, seq LIMIT ${limit}`,
    delayed: `INSERT INTO ${outbox} (${moved}, written_at) SELECT ${moved}, ${now} ${listed}
      WHERE h.state = 'delayed' ORDER BY h.due_at, h.seq`,
    waiting: `INSERT INTO ${outbox} (position, ${moved}, written_at) SELECT h.position, ${moved}, h.written_at ${listed}
      WHERE h.state = 'waiting'`,
    back: `INSERT INTO ${back} (position) SELECT h.position ${listed} WHERE h.state = 'waiting'`,
    gone: `DELETE h ${listed}`,
  }

  return async (fences, limit) => {
    const shards = [...new Set(fences.map(({ shard }) => shard))]
    const nextIn = async (): Promise<number | undefined> => {
      if (shards.length === 0) return undefined
      const [row = {}] = await read(sql.next(shards.length), shards)
      const left = optionalInteger(row, 'next_in')
      return left === undefined ? undefined : Math.max(0, left)
    }
    // An idle relay asks all the time: only what changes something takes locks.
    const before = await nextIn()
    if (before === undefined || before > 0) return { promoted: 0, nextIn: before }
    const promoted = await own(async (tx) => {
      await lockHeld(tx, shards)
      await fencing.require(tx, fences)
      const { rows } = await run(tx, sql.due(shards.length, limit), shards)
      if (rows.length === 0) return 0
      const seqs = [JSON.stringify(rows.map((row) => integer(row, 'seq')))]
      for (const statement of [sql.delayed, sql.waiting, sql.back, sql.gone]) await run(tx, statement, seqs)
      return rows.length
    })
    return { promoted, nextIn: await nextIn() }
  }
}
