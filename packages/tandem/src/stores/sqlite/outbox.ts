import type { Hold, OutboxSteps, ShardFence } from '../../spi/store.ts'
import { outboxMessage } from '../shared/messages.ts'
import { flag, text } from '../shared/rows.ts'
import type { SqliteContext } from './context.ts'
import { createFences } from './fences.ts'
import { createReleaseBehind, earlierHeld } from './outbox-behind.ts'
import { createPromote } from './outbox-promote.ts'
import { createOutboxInsert, SHARDS } from './outbox-write.ts'

/** The statements by which the relay reads: one for who has all shards, one for who has some. */
function readStatements<Tx>({ tables, now }: SqliteContext<Tx>): { all: string; some: string } {
  const { outbox, outbox_held: held } = tables
  const columns = `o.position, o.shard, o.id, o.topic, o.key, o.type, o.headers, o.body, o.attempts,
    CASE WHEN o.first_failed_at IS NULL THEN 0 ELSE max(0, ${now} - o.first_failed_at) END AS failing_for,
    ${earlierHeld(held, 'o')} AS behind_held`
  return {
    all: `SELECT ${columns} FROM ${outbox} o ORDER BY o.position LIMIT ?`,
    // Past what other relays are about to remove: an index by shard would cost every send more than it spares here.
    some: `SELECT ${columns} FROM ${outbox} o WHERE o.shard IN (SELECT value FROM json_each(?)) ORDER BY o.position LIMIT ?`,
  }
}

export function outboxSteps<Tx>(context: SqliteContext<Tx>): OutboxSteps<Tx> {
  const { driver, tables, now, read, run } = context
  const { outbox, outbox_held: held } = tables
  const fencing = createFences(context)
  const releaseBehind = createReleaseBehind(context)
  const reading = readStatements(context)
  const sql = {
    anyBehind: `SELECT EXISTS (SELECT 1 FROM ${held} WHERE state = 'behind') AS found`,
    releasing: `SELECT DISTINCT topic, key FROM ${outbox}
      WHERE position IN (SELECT value FROM json_each(?)) AND releases = 1 AND key IS NOT NULL`,
    remove: `DELETE FROM ${outbox}
      WHERE position IN (SELECT value FROM json_each(?)) AND shard IN (SELECT value FROM json_each(?))`,
    hold: `INSERT INTO ${held}
        (position, shard, id, topic, key, type, headers, body, state, due_at, attempts, first_failed_at, error, written_at)
      SELECT o.position, o.shard, o.id, o.topic, o.key, o.type, o.headers, o.body, h.value ->> 'state',
        CASE h.value ->> 'state' WHEN 'waiting' THEN ${now} + (h.value ->> 'delay') END,
        o.attempts + 1, coalesce(o.first_failed_at, ${now}), h.value ->> 'error', o.written_at
      FROM json_each(?) h JOIN ${outbox} o ON o.position = h.value ->> 'position'
      WHERE o.shard IN (SELECT value FROM json_each(?))`,
    // Only behind something that is still held: if that was settled a moment ago, nobody would bring this one back.
    holdBehind: `INSERT INTO ${held}
        (position, shard, id, topic, key, type, headers, body, state, attempts, first_failed_at, written_at)
      SELECT o.position, o.shard, o.id, o.topic, o.key, o.type, o.headers, o.body, 'behind',
        o.attempts, o.first_failed_at, o.written_at
      FROM json_each(?) h JOIN ${outbox} o ON o.position = h.value
      WHERE o.shard IN (SELECT value FROM json_each(?)) AND ${earlierHeld(held, 'o')}`,
    removeHeld: `DELETE FROM ${outbox} WHERE position IN (
      SELECT p.position FROM json_each(?) h JOIN ${held} p ON p.position = h.value)`,
  }

  return {
    insert: createOutboxInsert(context),

    async read(fences, limit) {
      if (fences.length === 0) return []
      const shards = new Set(fences.map(({ shard }) => shard))
      const rows =
        shards.size === SHARDS
          ? await read(reading.all, [limit])
          : await read(reading.some, [JSON.stringify([...shards]), limit])
      return rows.map(outboxMessage)
    },

    async remove(fences, published) {
      if (published.length === 0) return
      const positions = JSON.stringify(published.map(({ position }) => position))
      await driver.transaction(async (tx) => {
        await fencing.require(tx, fences)
        const { rows: behind } = await run(tx, sql.anyBehind, [])
        // Nothing waits behind anything, nearly always: then nobody needs to be asked.
        const releasing = flag(behind[0] ?? {}, 'found') ? (await run(tx, sql.releasing, [positions])).rows : []
        await run(tx, sql.remove, [positions, shardsOf(fences)])
        for (const row of releasing) await releaseBehind(tx, text(row, 'topic'), text(row, 'key'))
      })
    },

    async hold(fences, holds) {
      if (holds.length === 0) return
      const failed = holds.filter(({ state }) => state !== 'behind')
      const behind = holds.filter(({ state }) => state === 'behind')
      const positions = (list: readonly Hold[]): string => JSON.stringify(list.map(({ position }) => position))
      await driver.transaction(async (tx) => {
        await fencing.require(tx, fences)
        const shards = shardsOf(fences)
        const list = failed.map(({ position, state, delay, error }) => {
          return { position, state, delay: Math.round(delay), error: error ?? null }
        })
        // The failed ones first: they are what the others wait behind.
        if (list.length > 0) await run(tx, sql.hold, [JSON.stringify(list), shards])
        if (behind.length > 0) await run(tx, sql.holdBehind, [positions(behind), shards])
        await run(tx, sql.removeHeld, [positions(holds)])
      })
    },

    promote: createPromote(context, fencing),
  }
}

function shardsOf(fences: readonly ShardFence[]): string {
  return JSON.stringify(fences.map(({ shard }) => shard))
}
