import { shardOf } from '../../core/shards.ts'
import type { OutgoingMessage } from '../../spi/store.ts'
import { textsByCount } from '../shared/statements.ts'
import { clean, rowsOf, type MysqlContext } from './context.ts'

/** Rows of `turn` that stand for keys. Fixed: the table holds so many. */
const KEY_SLOTS = 16_368

/**
 * Locks rows that are always there, until the transaction ends: such a lock locks no gap at any isolation level. Named locks (GET_LOCK) would
 * belong to the connection, and outlive the transaction.
 */
function createLockSlots<Tx>({ tables, run }: MysqlContext<Tx>): (tx: Tx, slots: readonly number[]) => Promise<void> {
  // Always in one order.
  const sql = textsByCount(
    (count) =>
      `SELECT slot FROM ${tables.turn} FORCE INDEX (PRIMARY) WHERE slot IN (${rowsOf('?', count)}) ORDER BY slot FOR UPDATE`,
  )
  return async (tx, slots) => {
    const distinct = [...new Set(slots)].toSorted((a, b) => a - b)
    if (distinct.length > 0) await run(tx, sql(distinct.length), distinct)
  }
}

/** Lets senders of the same key wait for each other. Two keys may share a slot, and then wait for each other as well. */
export function createLockKeys<Tx>(
  context: MysqlContext<Tx>,
): (tx: Tx, messages: readonly Pick<OutgoingMessage, 'topic' | 'key'>[]) => Promise<void> {
  const lock = createLockSlots(context)
  return (tx, messages) =>
    lock(
      tx,
      messages.map(({ topic, key = '' }) => shardOf(clean(topic), clean(key), '', KEY_SLOTS)),
    )
}

/**
 * Locks what is held in some shards: a relay that sets messages aside behind another, and a person who gives that one up, must see each
 * other's work.
 */
export function createLockHeld<Tx>(context: MysqlContext<Tx>): (tx: Tx, shards: readonly number[]) => Promise<void> {
  const lock = createLockSlots(context)
  return (tx, shards) =>
    lock(
      tx,
      shards.map((shard) => -1 - shard),
    )
}
