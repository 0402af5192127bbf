import type { Row } from '../../spi/driver.ts'
import type { OutboxMessage, ShardFence } from '../../spi/store.ts'
import { outboxMessage } from '../shared/messages.ts'
import { flag, integer, text } from '../shared/rows.ts'
import { anyNumber, ms, type PostgresContext } from './context.ts'
import { earlierHeld } from './outbox-behind.ts'
import type { OutboxCursor, Start } from './outbox-cursor.ts'

/** What a look at the outbox needs to know of who looks: rows are read, and remembered as read, under certain leases. */
export function ownerOf(fences: readonly ShardFence[]): string {
  return fences
    .map(({ name, token }) => `${name} ${token}`)
    .toSorted()
    .join('\n')
}

/** A look is this many times as wide as the number of rows asked for, and this many times wider if that was not enough. */
const WIDTH = 2
const WIDER = 4

/**
 * The relay's reading. See `OutboxCursor` for where a look begins. It ends a number of positions further on: so its cost has a bound
 * whatever PostgreSQL thinks of the table, which is empty at one moment and full at the next. If too little is found there, the same look is
 * made again, wider; it must be one statement, for rows that become visible between two would be seen in the wrong order.
 */
export function createRead<Tx>(
  context: PostgresContext<Tx>,
  cursor: OutboxCursor,
  shards: number,
): (fences: readonly ShardFence[], limit: number) => Promise<readonly OutboxMessage[]> {
  const { positions, read } = context
  const sql = readStatements(context)
  // The position first: whoever gets an id after this one gets a higher position.
  const end = `SELECT (CASE WHEN is_called THEN last_value ELSE last_value - 1 END)::int8 AS position,
      pg_current_xact_id()::text::int8 AS xid FROM ${positions}`
  /** How wide the last look had to be. */
  let width = 0

  async function find(
    start: Start,
    mine: readonly number[],
    limit: number,
  ): Promise<[meta: Row, found: readonly Row[]]> {
    for (width = Math.max(width, WIDTH * limit); ; width *= WIDER) {
      const late = start.late.map(({ xid, position }) => ({ xid: String(xid), position }))
      const params = [start.position, late.length === 0 ? null : JSON.stringify(late), width, limit]
      const rows =
        mine.length === shards ? await read(sql.all, params) : await read(sql.some, [...params, JSON.stringify(mine)])
      const [meta = {}, ...found] = rows
      const [begun, last] = [integer(meta, 'begun'), integer(meta, 'last')]
      if (found.length < limit && begun + width < last) continue
      // Whatever lies between, rows of other shards or rows that are gone: the next look is likely to meet it again.
      width = found.length === limit ? WIDTH * (integer(found.at(-1) ?? {}, 'position') - begun) : last - begun
      return [meta, found]
    }
  }

  async function look(owner: string, mine: readonly number[], limit: number): Promise<readonly OutboxMessage[]> {
    for (;;) {
      const [meta, found] = await find(cursor.begin(owner), mine, limit)
      const fresh = found.filter((row) => !flag(row, 'releases')).map((row) => integer(row, 'position'))
      if (!cursor.found(text(meta, 'snapshot'), fresh, found.length < limit)) continue
      if (cursor.isLost) {
        const [row = {}] = await read(end, [])
        cursor.empty(integer(row, 'position'), integer(row, 'xid'))
      }
      return found.map(outboxMessage)
    }
  }

  return async (fences, limit) => {
    const mine = [...new Set(fences.map(({ shard }) => shard))]
    if (mine.length === 0) return []
    try {
      return await look(ownerOf(fences), mine, limit)
    } catch (error) {
      // It may be another server that answers next time.
      cursor.reset()
      throw error
    }
  }
}

/** One statement for who has all shards, one for who has some. The first row is about the look itself, and always there. */
function readStatements<Tx>({ tables, positions, now }: PostgresContext<Tx>): { all: string; some: string } {
  const { outbox, outbox_held: held } = tables
  const statement = (ofShards: string): string => `WITH look AS MATERIALIZED (SELECT least($1::float8, (
        SELECT min(late.position) FROM json_to_recordset($2::text::json) AS late (xid text, position float8)
        WHERE pg_visible_in_snapshot(late.xid::xid8, pg_current_snapshot())))::bigint AS begun)
    SELECT pg_current_snapshot()::text AS snapshot, begun::int8 AS begun, last_value::int8 AS last, NULL::int8 AS position,
      NULL::int4 AS shard, NULL AS id, NULL AS topic, NULL AS key, NULL AS type, NULL AS headers, NULL::bytea AS body,
      NULL::int4 AS attempts, NULL::boolean AS releases, NULL::int8 AS failing_for, NULL::boolean AS behind_held
    FROM look CROSS JOIN ${positions}
    UNION ALL
    SELECT NULL, NULL, NULL, o.position::int8, o.shard::int4, o.id, o.topic, o.key, o.type, o.headers, o.body, o.attempts,
      o.releases, CASE WHEN o.first_failed_at IS NULL THEN 0 ELSE greatest(0, ${ms(now)} - ${ms('o.first_failed_at')}) END,
      ${earlierHeld(held, 'o')}
    FROM (
      (SELECT o.* FROM ${outbox} o WHERE o.releases${ofShards} ORDER BY o.position LIMIT $4::int4)
      UNION ALL
      (SELECT o.* FROM ${outbox} o WHERE NOT o.releases${ofShards} AND o.position > (SELECT begun FROM look)
        AND o.position <= (SELECT begun FROM look) + $3::float8::bigint ORDER BY o.position LIMIT $4::int4)
      ORDER BY position LIMIT $4::int4) o
    ORDER BY position NULLS FIRST`
  return { all: statement(''), some: statement(` AND o.shard = ${anyNumber('$5')}`) }
}
