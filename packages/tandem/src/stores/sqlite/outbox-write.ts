import { shardOf } from '../../core/shards.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { OutgoingMessage } from '../../spi/store.ts'
import { parts, textsByCount } from '../shared/statements.ts'
import { rowsOf, type SqliteContext } from './context.ts'
import { integer } from '../shared/rows.ts'

/** Shards of the outbox. Fixed: the rows that are there carry their number. */
export const SHARDS = 8

/** 4,000 rows of 7 or 8 variables stay below SQLite's 32,766. */
const ROWS_PER_STATEMENT = 4000

/**
 * Writes messages into the outbox of an open transaction. There is nothing to do for `strictOrder`: SQLite has one writer, so the order
 * of inserts is the order of commits.
 */
export function createOutboxInsert<Tx>({
  tables,
  now,
  run,
}: SqliteContext<Tx>): (tx: Tx, messages: readonly OutgoingMessage[]) => Promise<void> {
  const sql = {
    now: `SELECT ${now} AS now`,
    outbox: textsByCount(
      (count) => `INSERT INTO ${tables.outbox} (shard, id, topic, key, type, headers, body, written_at)
        VALUES ${rowsOf(`(?, ?, ?, ?, ?, ?, ?, ${now})`, count)}`,
    ),
    delayed: textsByCount(
      (
        count,
      ) => `INSERT INTO ${tables.outbox_held} (shard, id, topic, key, type, headers, body, due_at, state, written_at)
        VALUES ${rowsOf(`(?, ?, ?, ?, ?, ?, ?, ?, 'delayed', ${now})`, count)}`,
    ),
  }

  return async (tx, messages) => {
    let direct = messages
    if (messages.some(({ deliverAt }) => deliverAt !== undefined)) {
      const { rows } = await run(tx, sql.now, [])
      const at = integer(rows[0] ?? {}, 'now')
      const isLater = ({ deliverAt }: OutgoingMessage): boolean => deliverAt !== undefined && deliverAt.getTime() > at
      direct = messages.filter((message) => !isLater(message))
      for (const part of parts(messages.filter(isLater), ROWS_PER_STATEMENT)) {
        const values = part.flatMap((message) => [...columns(message), message.deliverAt?.getTime() ?? at])
        await run(tx, sql.delayed(part.length), values)
      }
    }
    for (const part of parts(direct, ROWS_PER_STATEMENT)) {
      await run(tx, sql.outbox(part.length), part.flatMap(columns))
    }
  }
}

function columns({ id, topic, key, type, headers, body }: OutgoingMessage): SqlValue[] {
  return [shardOf(topic, key, id, SHARDS), id, topic, key ?? null, type, JSON.stringify(headers), body]
}
