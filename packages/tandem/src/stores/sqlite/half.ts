import { afterUnknown, decide, stateAfter, type HalfAnswer, type HalfState } from '../../core/half-state.ts'
import { isTandemError, TandemError } from '../../core/errors.ts'
import { shardOf } from '../../core/shards.ts'
import type { Row } from '../../spi/driver.ts'
import type { HalfSteps } from '../../spi/store.ts'
import { halfMessage } from '../shared/messages.ts'
import type { SqliteContext } from './context.ts'
import { createFences } from './fences.ts'
import { SHARDS } from './outbox-write.ts'
import { flag, integer, optionalInteger, optionalText, text } from '../shared/rows.ts'

export function halfSteps<Tx>(context: SqliteContext<Tx>): HalfSteps<Tx> {
  const { driver, prefix, tables, now, read, run } = context
  const { half, barrier, outbox, outbox_held: held } = tables
  const fencing = createFences(context)
  const columns = `id, topic, key, type, deliver_at, state, barrier, answered, headers, body,
    max(0, ${now} - prepared_at) AS age`
  // Without statistics SQLite would take the index of all states, and sort.
  const withBarrier = `${half} INDEXED BY ${prefix}half_barrier_due WHERE state = 'prepared' AND barrier = 1`
  const moved = 'id, topic, key, type, headers, body'
  const sql = {
    prepare: `INSERT INTO ${half} (id, topic, key, type, headers, body, deliver_at, barrier, state, prepared_at, next_check_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'prepared', ${now}, ${now} + ?) ON CONFLICT (id) DO NOTHING`,
    find: `SELECT topic, key, state, answered, deliver_at > ${now} AS later FROM ${half} WHERE id = ?`,
    toOutbox: `INSERT INTO ${outbox} (shard, ${moved}, written_at) SELECT ?, ${moved}, ${now} FROM ${half} WHERE id = ?`,
    toHeld: `INSERT INTO ${held} (shard, ${moved}, due_at, state, written_at)
      SELECT ?, ${moved}, deliver_at, 'delayed', ${now} FROM ${half} WHERE id = ?`,
    decide: `UPDATE ${half} SET state = ?, decided_at = ${now}, next_check_at = NULL, body = NULL WHERE id = ?`,
    unknown: `UPDATE ${half} SET state = ?, answered = answered + 1, last_error = ?,
      next_check_at = CASE WHEN ? = 'prepared' THEN ${now} + ? END WHERE id = ?`,
    dueWithBarrier: `SELECT ${columns} FROM ${withBarrier} AND next_check_at <= ${now} ORDER BY next_check_at LIMIT ?`,
    nextWithBarrier: `SELECT min(next_check_at) - ${now} AS next_in FROM ${withBarrier} AND next_check_at > ${now}`,
    dueByType: `SELECT ${columns} FROM ${half} WHERE seq IN (
        SELECT picked.seq FROM json_each(?) t CROSS JOIN ${half} picked ON picked.seq IN (
          SELECT x.seq FROM ${half} x WHERE x.state = 'prepared' AND x.barrier = 0 AND x.type = t.value
            AND x.next_check_at <= ${now} ORDER BY x.next_check_at LIMIT ?))
      ORDER BY next_check_at, seq LIMIT ?`,
    nextByType: `SELECT min(next) - ${now} AS next_in FROM (
      SELECT (SELECT min(x.next_check_at) FROM ${half} x WHERE x.state = 'prepared' AND x.barrier = 0
        AND x.type = t.value AND x.next_check_at > ${now}) AS next FROM json_each(?) t)`,
    barrier: `SELECT decision FROM ${barrier} WHERE id = ?`,
    setBarrier: `INSERT INTO ${barrier} (id, decision, at) VALUES (?, ?, ${now}) ON CONFLICT (id) DO NOTHING`,
    expire: `DELETE FROM ${half} WHERE seq IN (
      SELECT seq FROM ${half} WHERE decided_at < ${now} - ? ORDER BY decided_at LIMIT ?)`,
    // A barrier is what a half message is decided by: it stays as long as that is there.
    expireBarriers: `DELETE FROM ${barrier} WHERE id IN (
      SELECT b.id FROM ${barrier} b WHERE b.at < ${now} - ?
        AND NOT EXISTS (SELECT 1 FROM ${half} h WHERE h.id = b.id) ORDER BY b.at LIMIT ?)`,
    anyExpired: `SELECT EXISTS (SELECT 1 FROM ${half} WHERE decided_at < ${now} - ?)
      OR EXISTS (SELECT 1 FROM ${barrier} b WHERE b.at < ${now} - ?
        AND NOT EXISTS (SELECT 1 FROM ${half} h WHERE h.id = b.id)) AS found`,
  }

  const decisionOf = (rows: readonly Row[]): HalfAnswer | undefined => {
    const decision = rows[0]?.['decision']
    return decision === 'commit' || decision === 'rollback' ? decision : undefined
  }

  return {
    prepare(message, options) {
      const { id, topic, key, type, headers, body, deliverAt } = message
      return driver.transaction(async (tx) => {
        const { changed } = await run(tx, sql.prepare, [
          id,
          topic,
          key ?? null,
          type,
          JSON.stringify(headers),
          body,
          deliverAt?.getTime() ?? null,
          options.barrier ? 1 : 0,
          Math.round(options.firstCheckIn),
        ])
        if (changed === 0) throw new TandemError('CONFLICT', `there is a half message ${id} already; prepare it once`)
      })
    },

    resolve(id, decision) {
      return driver.transaction(async (tx) => {
        const row = (await run(tx, sql.find, [id])).rows[0]
        if (row === undefined) return undefined
        const state = text(row, 'state') as HalfState
        if (decide(state, decision) !== 'decided') return { state, changed: false }
        if (decision === 'commit') {
          const shard = shardOf(text(row, 'topic'), optionalText(row, 'key'), id, SHARDS)
          await run(tx, flag(row, 'later') ? sql.toHeld : sql.toOutbox, [shard, id])
        }
        await run(tx, sql.decide, [stateAfter(decision), id])
        return { state: stateAfter(decision), changed: true }
      })
    },

    async due(selector, limit) {
      const types = selector.barrier ? '' : JSON.stringify([...new Set(selector.types)])
      const rows = selector.barrier
        ? await read(sql.dueWithBarrier, [limit])
        : await read(sql.dueByType, [types, limit, limit])
      const due = rows.map(halfMessage)
      // There may be more than were asked for.
      if (due.length === limit) return { due, nextIn: 0 }
      const [next = {}] = selector.barrier ? await read(sql.nextWithBarrier, []) : await read(sql.nextByType, [types])
      return { due, nextIn: optionalInteger(next, 'next_in') }
    },

    recordUnknown(fence, id, schedule, error) {
      return driver.transaction(async (tx) => {
        const row = (await run(tx, sql.find, [id])).rows[0]
        if (row === undefined) return undefined
        const state = text(row, 'state') as HalfState
        if (state !== 'prepared' || !(await fencing.holds(tx, [fence]))) return state
        const next = afterUnknown(integer(row, 'answered') + 1, schedule)
        await run(tx, sql.unknown, [next.state, error ?? null, next.state, Math.round(next.nextCheckIn), id])
        return next.state
      })
    },

    async insertBarrier(tx, id) {
      const { changed } = await run(tx, sql.setBarrier, [id, 'commit'])
      if (changed > 0) return
      if (decisionOf((await run(tx, sql.barrier, [id])).rows) === 'rollback') {
        throw new TandemError(
          'BARRIER_CLOSED',
          `the local transaction of half message ${id} came too late: a check has answered "rollback" for it already`,
        )
      }
      throw new TandemError('CONFLICT', `half message ${id} has been used in a local transaction before`)
    },

    async closeBarrier(id, lockTimeout) {
      try {
        return await driver.transaction(
          async (tx) => {
            const { changed } = await run(tx, sql.setBarrier, [id, 'rollback'])
            return changed > 0 ? 'rollback' : (decisionOf((await run(tx, sql.barrier, [id])).rows) ?? 'unknown')
          },
          { lockTimeout },
        )
      } catch (error) {
        // Whoever holds the lock may be the local transaction, about to commit.
        if (isTandemError(error, 'STORE_BUSY')) return 'unknown'
        throw error
      }
    },

    async expire(olderThan, limit) {
      const [any = {}] = await read(sql.anyExpired, [olderThan, olderThan])
      if (!flag(any, 'found')) return 0
      return driver.transaction(async (tx) => {
        const { changed } = await run(tx, sql.expire, [olderThan, limit])
        if (changed >= limit) return changed
        return changed + (await run(tx, sql.expireBarriers, [olderThan, limit - changed])).changed
      })
    },
  }
}
