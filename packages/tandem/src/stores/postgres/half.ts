import { afterUnknown, decide, stateAfter, type HalfState } from '../../core/half-state.ts'
import { TandemError } from '../../core/errors.ts'
import { shardOf } from '../../core/shards.ts'
import type { HalfSteps } from '../../spi/store.ts'
import { halfMessage } from '../shared/messages.ts'
import { integer, optionalInteger, text } from '../shared/rows.ts'
import { barrierSteps } from './barrier.ts'
import { clean, cleanOrNull, instantOf, instantParam, ms, plusMs, type PostgresContext } from './context.ts'
import { createFences } from './fences.ts'
import { SHARDS } from './outbox-write.ts'
import { createSweep, fromHere } from './sweep.ts'

export function halfSteps<Tx>(context: PostgresContext<Tx>): HalfSteps<Tx> {
  const { tables, now, single, read, run, own } = context
  const { half, outbox, outbox_held: held } = tables
  const fencing = createFences(context)
  const columns = `id, topic, key, type, state, barrier, answered, headers, body, ${ms('deliver_at')} AS deliver_at,
    greatest(0, ${ms(now)} - ${ms('prepared_at')}) AS age`
  const moved = 'shard, id, topic, key, type, headers, body'
  const withBarrier = `${half} WHERE state = 'prepared' AND barrier`
  const ofType = `state = 'prepared' AND NOT barrier AND type = t.type`
  const types = `json_array_elements_text($1::text::json) AS t (type)`
  const sql = {
    prepare: `INSERT INTO ${half} (${moved}, deliver_at, barrier, state, prepared_at, next_check_at)
      VALUES ($1::int4, $2::text, $3::text, $4::text, $5::text, $6::text, $7::bytea, ${instantOf('$8')}, $9::int4 = 1,
        'prepared', ${now}, ${plusMs(now, '$10')}) ON CONFLICT (id) DO NOTHING`,
    // One round trip: whoever comes second waits for the row's lock, and then sees that it is decided.
    resolve: `WITH found AS (SELECT seq, state, deliver_at > ${now} AS later, deliver_at, ${moved} FROM ${half}
        WHERE id = $1::text FOR UPDATE),
      undecided AS (SELECT * FROM found WHERE state IN ('prepared', 'undecided')),
      sent AS (INSERT INTO ${outbox} (${moved}, written_at) SELECT ${moved}, ${now} FROM undecided
        WHERE $2::text = 'committed' AND later IS NOT TRUE),
      delayed AS (INSERT INTO ${held} (${moved}, due_at, state, written_at)
        SELECT ${moved}, deliver_at, 'delayed', ${now} FROM undecided WHERE $2::text = 'committed' AND later),
      decided AS (UPDATE ${half} h SET state = $2::text, decided_at = ${now}, next_check_at = NULL, body = NULL
        FROM undecided WHERE h.seq = undecided.seq)
      SELECT state FROM found`,
    find: `SELECT state, answered FROM ${half} WHERE id = $1::text FOR UPDATE`,
    unknown: `UPDATE ${half} SET state = $2::text, answered = answered + 1, last_error = $3::text,
      next_check_at = CASE WHEN $2::text = 'prepared' THEN ${plusMs(now, '$4')} END WHERE id = $1::text`,
    dueWithBarrier: `SELECT ${columns} FROM ${withBarrier} AND next_check_at <= ${now} ORDER BY next_check_at LIMIT $1::int4`,
    nextWithBarrier: `SELECT ${ms('min(next_check_at)')} - ${ms(now)} AS next_in FROM ${withBarrier} AND next_check_at > ${now}`,
    dueByType: `SELECT ${columns} FROM (
        SELECT due.* FROM ${types} CROSS JOIN LATERAL (
          SELECT * FROM ${half} WHERE ${ofType} AND next_check_at <= ${now} ORDER BY next_check_at LIMIT $2::int4) due) due
      ORDER BY next_check_at, seq LIMIT $2::int4`,
    nextByType: `SELECT ${ms('min(first.next_check_at)')} - ${ms(now)} AS next_in FROM ${types} CROSS JOIN LATERAL (
      SELECT next_check_at FROM ${half} WHERE ${ofType} AND next_check_at > ${now} ORDER BY next_check_at LIMIT 1) first`,
    expire: `WITH gone AS (DELETE FROM ${half} WHERE seq = ANY (ARRAY (
        SELECT seq FROM ${half} WHERE decided_at < ${now} - $1::float8 * interval '1 millisecond' AND ${fromHere('decided_at')}
        ORDER BY decided_at LIMIT $2::int4 FOR UPDATE SKIP LOCKED)) RETURNING decided_at)
      SELECT count(*)::int4 AS gone, ${ms('max(decided_at)')} AS last FROM gone`,
  }
  const { expireBarriers, ...barriers } = barrierSteps(context)
  const expireHalves = createSweep(read, sql.expire)

  return {
    ...barriers,

    async prepare(message, options) {
      const { id, topic, key, type, headers, body, deliverAt } = message
      const { changed } = await single(sql.prepare, [
        shardOf(topic, key, id, SHARDS),
        clean(id),
        clean(topic),
        cleanOrNull(key),
        clean(type),
        JSON.stringify(headers),
        body,
        deliverAt === undefined ? null : instantParam(deliverAt.getTime()),
        options.barrier ? 1 : 0,
        Math.round(options.firstCheckIn),
      ])
      if (changed === 0) throw new TandemError('CONFLICT', `there is a half message ${id} already; prepare it once`)
    },

    async resolve(id, decision) {
      const [row] = await read(sql.resolve, [clean(id), stateAfter(decision)])
      if (row === undefined) return undefined
      const before = text(row, 'state') as HalfState
      const changed = decide(before, decision) === 'decided'
      return { state: changed ? stateAfter(decision) : before, changed }
    },

    async due(selector, limit) {
      const params = selector.barrier ? [] : [JSON.stringify([...new Set(selector.types)])]
      const due = (await read(selector.barrier ? sql.dueWithBarrier : sql.dueByType, [...params, limit])).map(
        halfMessage,
      )
      // There may be more than were asked for.
      if (due.length === limit) return { due, nextIn: 0 }
      const [next = {}] = await read(selector.barrier ? sql.nextWithBarrier : sql.nextByType, params)
      return { due, nextIn: optionalInteger(next, 'next_in') }
    },

    recordUnknown(fence, id, schedule, error) {
      return own(async (tx) => {
        const [row] = (await run(tx, sql.find, [clean(id)])).rows
        if (row === undefined) return undefined
        const state = text(row, 'state') as HalfState
        if (state !== 'prepared' || !(await fencing.holds(tx, [fence]))) return state
        const next = afterUnknown(integer(row, 'answered') + 1, schedule)
        await run(tx, sql.unknown, [clean(id), next.state, cleanOrNull(error), Math.round(next.nextCheckIn)])
        return next.state
      })
    },

    async expire(olderThan, limit) {
      const gone = await expireHalves(olderThan, limit)
      return gone >= limit ? gone : gone + (await expireBarriers(olderThan, limit - gone))
    },
  }
}
