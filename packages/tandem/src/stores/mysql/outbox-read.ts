import type { OutboxMessage, ShardFence } from '../../spi/store.ts'
import { outboxMessage } from '../shared/messages.ts'
import { integer } from '../shared/rows.ts'
import { ms, NUMBERS, WHOLE, type MysqlContext } from './context.ts'
import { earlierHeld } from './outbox-behind.ts'
import { MOST_LISTED, type OutboxCursor } from './outbox-cursor.ts'

/** What a look at the outbox needs to know of who looks: rows are read, and remembered as read, under certain leases. */
export function ownerOf(fences: readonly ShardFence[]): string {
  return fences
    .map(({ name, token }) => `${name} ${token}`)
    .toSorted()
    .join('\n')
}

/** The condition that a row is of one of these shards; nothing if these are all. */
export function ofShards(row: string, shards: readonly number[], all: number): string {
  if (shards.length === 0) return ' AND false'
  return shards.length === all ? '' : ` AND ${row}.shard IN (${shards.toSorted((a, b) => a - b).join(', ')})`
}

/** The relay's reading. See `OutboxCursor` for where a look begins. */
export function createRead<Tx>(
  { tables, now, read, run, own }: MysqlContext<Tx>,
  cursor: OutboxCursor,
  shards: number,
): (fences: readonly ShardFence[], limit: number) => Promise<readonly OutboxMessage[]> {
  const { outbox, outbox_back: back, outbox_held: held } = tables
  const listed = `${NUMBERS} listed STRAIGHT_JOIN ${outbox} o FORCE INDEX (PRIMARY) ON o.position = listed.value`
  /**
   * One statement, for rows that become visible between two would be seen in the wrong order. The places first, then the rows: so nothing
   * large is copied or sorted.
   */
  const look = (mine: readonly number[], limit: number): string => {
    const part = (rows: string): string =>
      `(SELECT o.position FROM ${rows}${ofShards('o', mine, shards)} ORDER BY o.position LIMIT ${limit})`
    return `SELECT o.position, o.shard, o.id, o.topic, o.\`key\`, o.type, o.headers, o.body, o.attempts,
        CASE WHEN o.first_failed_at IS NULL THEN 0 ELSE greatest(0, ${ms(now)} - ${ms('o.first_failed_at')}) END AS failing_for,
        ${earlierHeld(held, 'o')} AS behind_held
      FROM (SELECT position FROM (
          ${part(`${outbox} o FORCE INDEX (PRIMARY) WHERE o.position > ${WHOLE}`)}
          UNION ${part(`${listed} WHERE true`)}
          UNION ${part(`${back} returned STRAIGHT_JOIN ${outbox} o FORCE INDEX (PRIMARY) ON o.position = returned.position WHERE true`)}
        ) places ORDER BY position LIMIT ${limit}) place
      STRAIGHT_JOIN ${outbox} o FORCE INDEX (PRIMARY) ON o.position = place.position ORDER BY place.position`
  }
  const there = (mine: readonly number[]): string => {
    const part = (rows: string): string =>
      `(SELECT o.position FROM ${rows}${ofShards('o', mine, shards)} ORDER BY o.position LIMIT ${MOST_LISTED + 1})`
    return `SELECT position FROM (
        ${part(`${outbox} o FORCE INDEX (PRIMARY) WHERE o.position > ${WHOLE} AND o.position <= ${WHOLE}`)}
        UNION ${part(`${listed} WHERE true`)}
      ) places ORDER BY position LIMIT ${MOST_LISTED + 1}`
  }

  async function goOn(owner: string, mine: readonly number[]): Promise<void> {
    const next = cursor.next(owner)
    if (next === undefined) return
    const { from, to } = next
    const { rows } = await own((tx) => run(tx, there(mine), [from.low, to, JSON.stringify(from.listed)]), {
      isolation: 'read uncommitted',
    })
    cursor.advance(
      to,
      rows.map((row) => integer(row, 'position')),
    )
  }

  return async (fences, limit) => {
    const mine = [...new Set(fences.map(({ shard }) => shard))]
    if (mine.length === 0) return []
    const owner = ownerOf(fences)
    try {
      await goOn(owner, mine)
      const { low, listed: places } = cursor.begin(owner)
      const rows = await read(look(mine, limit), [low, JSON.stringify(places)])
      const messages = rows.map(outboxMessage)
      cursor.found(messages.map(({ position }) => position))
      return messages
    } catch (error) {
      // It may be another server that answers next time.
      cursor.reset()
      throw error
    }
  }
}
