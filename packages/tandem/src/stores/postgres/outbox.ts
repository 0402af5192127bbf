import type { SqlValue } from '../../spi/driver.ts'
import type { Hold, OutboxMessage, OutboxSteps, ShardFence } from '../../spi/store.ts'
import { flag, integer, optionalText, text } from '../shared/rows.ts'
import { anyNumber, clean, plusMs, type PostgresContext } from './context.ts'
import { createFences, heldLeases, leaseLost, namesOf } from './fences.ts'
import { createLockHeld, createReleaseBehind, earlierHeld } from './outbox-behind.ts'
import { OutboxCursor } from './outbox-cursor.ts'
import { createPromote } from './outbox-promote.ts'
import { createRead, ownerOf } from './outbox-read.ts'
import { createOutboxInsert, SHARDS } from './outbox-write.ts'

export function outboxSteps<Tx>(context: PostgresContext<Tx>): OutboxSteps<Tx> {
  const { tables, now, single, run, own } = context
  const { outbox, outbox_held: held } = tables
  const fencing = createFences(context)
  const lockHeld = createLockHeld(context)
  const releaseBehind = createReleaseBehind(context)
  const cursor = new OutboxCursor(() => performance.now())
  const xid = 'pg_current_xact_id()::text::int8 AS xid'
  const moved = 'o.position, o.shard, o.id, o.topic, o.key, o.type, o.headers, o.body, o.attempts, o.first_failed_at'
  const copied = 'position, shard, id, topic, key, type, headers, body'
  const ours = `position = ${anyNumber('$1')} AND shard = ${anyNumber('$2')}`
  const sql = {
    // Checks the leases, and that nothing waits behind anything (nearly always), before it deletes: in one statement, one round trip.
    removeAtOnce: `WITH held AS MATERIALIZED (${heldLeases(context, '$3')}),
      may AS MATERIALIZED (SELECT
        NOT EXISTS (SELECT 1 FROM json_to_recordset($4::text::json) AS f (name text, token float8)
          WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.name = f.name AND held.token = f.token)) AS holds,
        (SELECT seq FROM ${held} WHERE state = 'behind' ORDER BY seq LIMIT 1) IS NOT NULL AS behind),
      gone AS (DELETE FROM ${outbox} WHERE (SELECT holds AND NOT behind FROM may) AND ${ours})
      SELECT holds, behind, ${xid} FROM may`,
    remove: `DELETE FROM ${outbox} WHERE ${ours} RETURNING topic, key, releases`,
    hold: `WITH moved AS (
        DELETE FROM ${outbox} o USING json_to_recordset($1::text::json) AS h (position bigint, state text, delay float8, error text)
        WHERE o.position = h.position AND o.shard = ${anyNumber('$2')}
        RETURNING ${moved}, o.written_at, h.state, h.delay, h.error),
      kept AS (INSERT INTO ${held} (${copied}, state, due_at, attempts, first_failed_at, error, written_at)
        SELECT ${copied}, state, CASE state WHEN 'waiting' THEN ${plusMs(now, 'delay')} END,
          attempts + 1, coalesce(first_failed_at, ${now}), error, written_at FROM moved)
      SELECT position::int8 AS position FROM moved`,
    // Only behind something that is still held: if that was settled a moment ago, nobody would bring this one back.
    holdBehind: `WITH moved AS (
        DELETE FROM ${outbox} o WHERE o.position = ${anyNumber('$1')} AND o.shard = ${anyNumber('$2')}
          AND ${earlierHeld(held, 'o')} RETURNING ${moved}, o.written_at),
      kept AS (INSERT INTO ${held} (${copied}, state, attempts, first_failed_at, written_at)
        SELECT ${copied}, 'behind', attempts, first_failed_at, written_at FROM moved)
      SELECT position::int8 AS position FROM moved`,
    xid: `SELECT ${xid}`,
  }

  /** What waits behind the messages that go is looked for with the shards locked. */
  async function removeAndRelease(fences: readonly ShardFence[], params: readonly SqlValue[]): Promise<number> {
    return own(async (tx) => {
      const shards = fences.map(({ shard }) => shard)
      await lockHeld(tx, shards)
      await fencing.require(tx, fences)
      const { rows } = await run(tx, sql.remove, params)
      const keys = new Map<string, readonly [topic: string, key: string]>()
      for (const row of rows) {
        const key = optionalText(row, 'key')
        if (flag(row, 'releases') && key !== undefined) {
          keys.set(`${text(row, 'topic')}\n${key}`, [text(row, 'topic'), key])
        }
      }
      for (const [topic, key] of keys.values()) await releaseBehind(tx, topic, key)
      return integer((await run(tx, sql.xid, [])).rows[0] ?? {}, 'xid')
    })
  }

  async function remove(fences: readonly ShardFence[], published: readonly OutboxMessage[]): Promise<number> {
    const params = [JSON.stringify(published.map(({ position }) => position)), shardsOf(fences)]
    const tokens = JSON.stringify(fences.map(({ name, token }) => ({ name, token })))
    const [row = {}] = (await single(sql.removeAtOnce, [...params, namesOf(fences), tokens])).rows
    if (!flag(row, 'holds')) {
      // Says which of them.
      await own((tx) => fencing.require(tx, fences))
      throw leaseLost(fences.map(({ name }) => name))
    }
    return flag(row, 'behind') ? removeAndRelease(fences, params) : integer(row, 'xid')
  }

  return {
    insert: createOutboxInsert(context),

    read: createRead(context, cursor, SHARDS),

    async remove(fences, published) {
      if (published.length === 0) return
      const xidOfIt = await remove(fences, published)
      cursor.gone(
        ownerOf(fences),
        published.map(({ position }) => position),
        xidOfIt,
      )
    },

    async hold(fences, holds) {
      if (holds.length === 0) return
      const failed = holds.filter(({ state }) => state !== 'behind').map(holdParam)
      const behind = holds.filter(({ state }) => state === 'behind').map(({ position }) => position)
      const shards = fences.map(({ shard }) => shard)
      const gone: number[] = []
      const xidOfIt = await own(async (tx) => {
        gone.length = 0
        await lockHeld(tx, shards)
        await fencing.require(tx, fences)
        // The failed ones first: they are what the others wait behind.
        for (const [statement, list] of [
          [sql.hold, failed],
          [sql.holdBehind, behind],
        ] as const) {
          if (list.length === 0) continue
          const { rows } = await run(tx, statement, [JSON.stringify(list), shardsOf(fences)])
          gone.push(...rows.map((row) => integer(row, 'position')))
        }
        return integer((await run(tx, sql.xid, [])).rows[0] ?? {}, 'xid')
      })
      cursor.gone(ownerOf(fences), gone, xidOfIt)
    },

    promote: createPromote(context, fencing),
  }
}

function holdParam({ position, state, delay, error }: Hold): Readonly<Record<string, SqlValue>> {
  return { position, state, delay: Math.round(delay), error: error === undefined ? null : clean(error) }
}

function shardsOf(fences: readonly ShardFence[]): string {
  return JSON.stringify(fences.map(({ shard }) => shard))
}
