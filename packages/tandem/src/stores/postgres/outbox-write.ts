import { shardOf } from '../../core/shards.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { OutgoingMessage } from '../../spi/store.ts'
import { parts } from '../shared/statements.ts'
import { clean, cleanOrNull, instantOf, lockKey, ms, type PostgresContext } from './context.ts'
import { byCount, rowList } from './lists.ts'

/** Shards of the outbox. Fixed: the rows that are there carry their number. */
export const SHARDS = 16

/** One text that holds so many messages is as large as a client should send at once. */
const ROWS_PER_STATEMENT = 4000

const COLUMNS = 'shard, id, topic, key, type, headers, body'

/**
 * Writes messages into the outbox of an open transaction: one statement, for any number of messages, with the lock of their keys where
 * one of them asks for strict order, and with those that are to be delivered later put apart by the database's clock.
 */
export function createOutboxInsert<Tx>(
  context: PostgresContext<Tx>,
): (tx: Tx, messages: readonly OutgoingMessage[]) => Promise<void> {
  const { schema, tables, now, run } = context
  const list = rowList({
    shard: 'int4',
    id: 'text',
    topic: 'text',
    key: 'text',
    type: 'text',
    headers: 'text',
    body: 'bytea',
    deliver_at: 'float8',
  })
  const picked = COLUMNS.replaceAll(/\w+/g, (name) => `m.${name}`)

  const statement = (locks: boolean, delays: boolean): ((count: number) => string) =>
    byCount((count) => {
      const rows = list.from(count, locks ? 2 : 1)
      // The rows come out of the locks, so that no position is given before all keys are locked: always in one order.
      const locked = `locks AS MATERIALIZED (SELECT count(locked::text) AS taken FROM (
        SELECT pg_advisory_xact_lock(key) AS locked FROM (
          SELECT DISTINCT ${lockKey(schema, "'order ' || value")} AS key
          FROM json_array_elements_text($1::text::json) ORDER BY key) keys) taken)`
      const later = `m AS MATERIALIZED (SELECT * FROM ${rows}),
        later AS (INSERT INTO ${tables.outbox_held} (${COLUMNS}, due_at, state, written_at)
          SELECT ${picked}, ${instantOf('m.deliver_at')}, 'delayed', ${now} FROM m WHERE m.deliver_at > ${ms(now)})`
      const clauses = [...(locks ? [locked] : []), ...(delays ? [later] : [])]
      const conditions = [
        ...(locks ? ['locks.taken >= 0'] : []),
        ...(delays ? [`(m.deliver_at IS NULL OR m.deliver_at <= ${ms(now)})`] : []),
      ]
      return `${clauses.length > 0 ? `WITH ${clauses.join(', ')} ` : ''}INSERT INTO ${tables.outbox} (${COLUMNS}, written_at)
        SELECT ${picked}, ${now} FROM ${locks ? 'locks CROSS JOIN ' : ''}${delays ? 'm' : rows}${
          conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''
        }`
    })
  const sql = {
    plain: statement(false, false),
    locks: statement(true, false),
    delays: statement(false, true),
    both: statement(true, true),
  }

  return async (tx, messages) => {
    const keys = messages
      .filter(({ strictOrder }) => strictOrder)
      .map(({ topic, key = '' }) => clean(`${topic}\n${key}`))
    const delays = messages.some(({ deliverAt }) => deliverAt !== undefined)
    const locks = keys.length > 0
    const text = locks ? (delays ? sql.both : sql.locks) : delays ? sql.delays : sql.plain
    for (const part of parts(messages, ROWS_PER_STATEMENT)) {
      const params = list.params(part.map(columns))
      await run(tx, text(part.length), locks ? [JSON.stringify(keys), ...params] : params)
    }
  }
}

function columns({ id, topic, key, type, headers, body, deliverAt }: OutgoingMessage): SqlValue[] {
  return [
    shardOf(topic, key, id, SHARDS),
    clean(id),
    clean(topic),
    cleanOrNull(key),
    clean(type),
    JSON.stringify(headers),
    body,
    deliverAt?.getTime() ?? null,
  ]
}
