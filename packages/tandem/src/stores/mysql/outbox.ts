import type { SqlValue } from '../../spi/driver.ts'
import type { Hold, OutboxSteps, ShardFence } from '../../spi/store.ts'
import { flag, integer, text } from '../shared/rows.ts'
import { clean, NUMBERS, plusMs, type MysqlContext } from './context.ts'
import { createFences } from './fences.ts'
import { createReleaseBehind, earlierHeld } from './outbox-behind.ts'
import { OutboxCursor } from './outbox-cursor.ts'
import { createPromote } from './outbox-promote.ts'
import { createRead, ofShards, ownerOf } from './outbox-read.ts'
import { createOutboxInsert, SHARDS } from './outbox-write.ts'
import { createLockHeld } from './turns.ts'

export function outboxSteps<Tx>(context: MysqlContext<Tx>): OutboxSteps<Tx> {
  const { tables, now, run, own } = context
  const { outbox, outbox_back: back, outbox_held: held } = tables
  const fencing = createFences(context)
  // Whether anything waits behind anything: nearly never.
  const fencingAndBehind = createFences(
    context,
    `, (SELECT 1 FROM ${held} FORCE INDEX (by_state) WHERE state = 'behind' LIMIT 1) IS NOT NULL
      OR (SELECT 1 FROM ${back} returned LIMIT 1) IS NOT NULL AS behind`,
  )
  const lockHeld = createLockHeld(context)
  const releaseBehind = createReleaseBehind(context)
  const cursor = new OutboxCursor(() => performance.now())
  const moved = 'o.position, o.shard, o.id, o.topic, o.`key`, o.type, o.headers, o.body, o.written_at'
  const copied = 'position, shard, id, topic, `key`, type, headers, body, written_at'
  const listed = `${NUMBERS} listed STRAIGHT_JOIN ${outbox} o FORCE INDEX (PRIMARY) ON o.position = listed.value WHERE true`
  const holds = `JSON_TABLE(?, '$[*]' COLUMNS (position BIGINT PATH '$.position', state VARCHAR(16) PATH '$.state',
      delay BIGINT PATH '$.delay', error LONGTEXT PATH '$.error')) AS listed
    STRAIGHT_JOIN ${outbox} o FORCE INDEX (PRIMARY) ON o.position = listed.position WHERE true`
  const sql = {
    // Row by row, by the primary key: nothing else is locked, and nobody who writes is waited for.
    remove: (mine: string) => `DELETE o FROM ${listed}${mine}`,
    releasing: (mine: string) => `SELECT DISTINCT o.topic, o.\`key\` FROM ${listed}${mine} AND o.\`key\` IS NOT NULL
      AND (SELECT 1 FROM ${back} b WHERE b.position = o.position LIMIT 1) IS NOT NULL`,
    forget: `DELETE b FROM ${NUMBERS} listed STRAIGHT_JOIN ${back} b FORCE INDEX (PRIMARY) ON b.position = listed.value`,
    hold: (mine: string) => `INSERT INTO ${held} (${copied}, state, due_at, attempts, first_failed_at, error)
      SELECT ${moved}, listed.state, CASE listed.state WHEN 'waiting' THEN ${plusMs(now, 'listed.delay')} END,
        o.attempts + 1, coalesce(o.first_failed_at, ${now}), listed.error FROM ${holds}${mine}`,
    // Only behind something that is still held: if that was settled a moment ago, nobody would bring this one back.
    holdBehind: (mine: string) => `INSERT INTO ${held} (${copied}, state, attempts, first_failed_at)
      SELECT ${moved}, 'behind', o.attempts, o.first_failed_at FROM ${listed}${mine} AND ${earlierHeld(held, 'o')}`,
    held: `SELECT h.position FROM ${NUMBERS} listed STRAIGHT_JOIN ${held} h FORCE INDEX (by_position)
      ON h.position = listed.value`,
  }
  const mineOf = (fences: readonly ShardFence[]): string =>
    ofShards('o', [...new Set(fences.map(({ shard }) => shard))], SHARDS)

  /** @returns false, and nothing has changed, if something may wait behind what goes */
  function removeAtOnce(fences: readonly ShardFence[], positions: readonly SqlValue[]): Promise<boolean> {
    return own(async (tx) => {
      const [lease = {}] = await fencingAndBehind.require(tx, fences)
      if (flag(lease, 'behind')) return false
      await run(tx, sql.remove(mineOf(fences)), positions)
      return true
    })
  }

  /** What waits behind the messages that go is looked for with the shards locked. */
  function removeAndRelease(fences: readonly ShardFence[], positions: readonly SqlValue[]): Promise<void> {
    return own(async (tx) => {
      await lockHeld(
        tx,
        fences.map(({ shard }) => shard),
      )
      await fencing.require(tx, fences)
      const mine = mineOf(fences)
      const { rows } = await run(tx, sql.releasing(mine), positions)
      await run(tx, sql.remove(mine), positions)
      await run(tx, sql.forget, positions)
      for (const row of rows) await releaseBehind(tx, text(row, 'topic'), text(row, 'key'))
    })
  }

  return {
    insert: createOutboxInsert(context),

    read: createRead(context, cursor, SHARDS),

    async remove(fences, published) {
      if (published.length === 0) return
      const positions = published.map(({ position }) => position)
      const params = [JSON.stringify(positions)]
      try {
        if (!(await removeAtOnce(fences, params))) await removeAndRelease(fences, params)
      } catch (error) {
        // Whether they are gone is not known.
        cursor.reset()
        throw error
      }
      cursor.gone(ownerOf(fences), positions)
    },

    async hold(fences, list) {
      if (list.length === 0) return
      const failed = list.filter(({ state }) => state !== 'behind').map(holdParam)
      const behind = list.filter(({ state }) => state === 'behind').map(({ position }) => position)
      const mine = mineOf(fences)
      const gone = await own(async (tx) => {
        await lockHeld(
          tx,
          fences.map(({ shard }) => shard),
        )
        await fencing.require(tx, fences)
        // The failed ones first: they are what the others wait behind.
        if (failed.length > 0) await run(tx, sql.hold(mine), [JSON.stringify(failed)])
        if (behind.length > 0) await run(tx, sql.holdBehind(mine), [JSON.stringify(behind)])
        const { rows } = await run(tx, sql.held, [JSON.stringify(list.map(({ position }) => position))])
        const positions = rows.map((row) => integer(row, 'position'))
        await run(tx, sql.remove(''), [JSON.stringify(positions)])
        await run(tx, sql.forget, [JSON.stringify(positions)])
        return positions
      })
      cursor.gone(ownerOf(fences), gone)
    },

    promote: createPromote(context, fencing),
  }
}

function holdParam({ position, state, delay, error }: Hold): Readonly<Record<string, SqlValue>> {
  return { position, state, delay: Math.round(delay), error: error === undefined ? null : clean(error) }
}
