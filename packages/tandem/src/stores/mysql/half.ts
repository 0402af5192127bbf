import { afterUnknown, decide, stateAfter, type HalfState } from '../../core/half-state.ts'
import { TandemError } from '../../core/errors.ts'
import { shardOf } from '../../core/shards.ts'
import type { HalfSteps } from '../../spi/store.ts'
import { halfMessage } from '../shared/messages.ts'
import { flag, integer, optionalInteger, text } from '../shared/rows.ts'
import { textsByCount } from '../shared/statements.ts'
import { barrierSteps } from './barrier.ts'
import {
  clean,
  cleanOrNull,
  idParam,
  INSTANT,
  instantParam,
  minusMs,
  ms,
  plusMs,
  rowsOf,
  unionOf,
  WHOLE,
  type MysqlContext,
} from './context.ts'
import { createFences } from './fences.ts'
import { SHARDS } from './outbox-write.ts'

export function halfSteps<Tx>(context: MysqlContext<Tx>): HalfSteps<Tx> {
  const { tables, now, read, run, own } = context
  const { half, outbox, outbox_held: held } = tables
  const fencing = createFences(context)
  const columns = `id, topic, \`key\`, type, state, barrier, answered, headers, body, ${ms('deliver_at')} AS deliver_at,
    greatest(0, ${ms(now)} - ${ms('prepared_at')}) AS age`
  const moved = 'shard, id, topic, `key`, type, headers, body'
  const withBarrier = `${half} FORCE INDEX (by_due) WHERE state = 'prepared' AND barrier = 1`
  const ofType = `${half} FORCE INDEX (by_type) WHERE state = 'prepared' AND barrier = 0 AND type = ?`
  const each = (count: number, statement: string): string =>
    Array<string>(count).fill(`(${statement})`).join(' UNION ALL ')
  const sql = {
    // One row changed: it is new. Two: it was there.
    prepare: `INSERT INTO ${half} (${moved}, deliver_at, barrier, state, prepared_at, next_check_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ${INSTANT}, ?, 'prepared', ${now}, ${plusMs(now, WHOLE)})
      ON DUPLICATE KEY UPDATE again = ${half}.again + 1`,
    // Whoever comes second waits for the row's lock, and then sees that it is decided.
    find: `SELECT state, answered, deliver_at > ${now} AS later FROM ${half} WHERE id = ? FOR UPDATE`,
    toOutbox: `INSERT INTO ${outbox} (${moved}, written_at) SELECT ${moved}, ${now} FROM ${half} WHERE id = ?`,
    toHeld: `INSERT INTO ${held} (${moved}, due_at, state, written_at)
      SELECT ${moved}, deliver_at, 'delayed', ${now} FROM ${half} WHERE id = ?`,
    decide: `UPDATE ${half} FORCE INDEX (PRIMARY) SET state = ?, decided_at = ${now}, next_check_at = NULL, body = NULL WHERE id = ?`,
    unknown: `UPDATE ${half} FORCE INDEX (PRIMARY) SET state = ?, answered = answered + 1, last_error = ?,
      next_check_at = CASE WHEN ? = 'prepared' THEN ${plusMs(now, WHOLE)} END WHERE id = ?`,
    dueWithBarrier: (limit: number) =>
      `SELECT ${columns} FROM ${withBarrier} AND next_check_at <= ${now} ORDER BY next_check_at LIMIT ${limit}`,
    nextWithBarrier: `SELECT ${ms('min(next_check_at)')} - ${ms(now)} AS next_in FROM ${withBarrier} AND next_check_at > ${now}`,
    dueByType: (count: number, limit: number) =>
      `${each(count, `SELECT ${columns}, next_check_at, seq FROM ${ofType} AND next_check_at <= ${now} ORDER BY next_check_at LIMIT ${limit}`)}
      ORDER BY next_check_at, seq LIMIT ${limit}`,
    nextByType: textsByCount(
      (count) => `SELECT ${ms('min(next_check_at)')} - ${ms(now)} AS next_in
        FROM (${unionOf(count, `SELECT min(next_check_at) AS next_check_at FROM ${ofType} AND next_check_at > ${now}`)}) first`,
    ),
    expired: (
      limit: number,
    ) => `SELECT id FROM ${half} FORCE INDEX (by_decision) WHERE decided_at < ${minusMs(now, WHOLE)}
      ORDER BY decided_at LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
    expire: textsByCount(
      (count) => `DELETE h FROM ${half} h FORCE INDEX (PRIMARY) WHERE h.id IN (${rowsOf('?', count)})`,
    ),
  }
  const { expireBarriers, ...barriers } = barrierSteps(context)

  const expireHalves = (olderThan: number, limit: number): Promise<number> =>
    own(async (tx) => {
      const { rows } = await run(tx, sql.expired(limit), [Math.round(olderThan)])
      if (rows.length === 0) return 0
      const ids = rows.map((row) => text(row, 'id'))
      return (await run(tx, sql.expire(ids.length), ids)).changed
    })

  return {
    ...barriers,

    async prepare(message, options) {
      const { id, topic, key, type, headers, body, deliverAt } = message
      const changed = await own(async (tx) => {
        const result = await run(tx, sql.prepare, [
          shardOf(topic, key, id, SHARDS),
          idParam(id),
          clean(topic),
          cleanOrNull(key),
          clean(type),
          JSON.stringify(headers),
          body,
          deliverAt === undefined ? null : instantParam(deliverAt.getTime()),
          options.barrier ? 1 : 0,
          Math.round(options.firstCheckIn),
        ])
        return result.changed
      })
      if (changed !== 1) throw new TandemError('CONFLICT', `there is a half message ${id} already; prepare it once`)
    },

    resolve(id, decision) {
      return own(async (tx) => {
        const [row] = (await run(tx, sql.find, [idParam(id)])).rows
        if (row === undefined) return undefined
        const state = text(row, 'state') as HalfState
        if (decide(state, decision) !== 'decided') return { state, changed: false }
        if (decision === 'commit') await run(tx, flag(row, 'later') ? sql.toHeld : sql.toOutbox, [idParam(id)])
        await run(tx, sql.decide, [stateAfter(decision), idParam(id)])
        return { state: stateAfter(decision), changed: true }
      })
    },

    async due(selector, limit) {
      const types = selector.barrier ? [] : [...new Set(selector.types)].map(clean)
      if (!selector.barrier && types.length === 0) return { due: [], nextIn: undefined }
      const due = (
        await read(selector.barrier ? sql.dueWithBarrier(limit) : sql.dueByType(types.length, limit), types)
      ).map(halfMessage)
      // There may be more than were asked for.
      if (due.length === limit) return { due, nextIn: 0 }
      const [next = {}] = await read(selector.barrier ? sql.nextWithBarrier : sql.nextByType(types.length), types)
      return { due, nextIn: optionalInteger(next, 'next_in') }
    },

    recordUnknown(fence, id, schedule, error) {
      return own(async (tx) => {
        const [row] = (await run(tx, sql.find, [idParam(id)])).rows
        if (row === undefined) return undefined
        const state = text(row, 'state') as HalfState
        if (state !== 'prepared' || !(await fencing.holds(tx, [fence]))) return state
        const next = afterUnknown(integer(row, 'answered') + 1, schedule)
        const { state: after, nextCheckIn } = next
        await run(tx, sql.unknown, [after, cleanOrNull(error), after, Math.round(nextCheckIn), idParam(id)])
        return after
      })
    },

    async expire(olderThan, limit) {
      const changed = await expireHalves(olderThan, limit)
      return changed >= limit ? changed : changed + (await expireBarriers(olderThan, limit - changed))
    },
  }
}
