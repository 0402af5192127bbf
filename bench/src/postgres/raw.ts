// Effect-once handling by hand: the same statements that Tandem needs, on a table with the same columns and indexes as its inbox.
import type pg from 'pg'
import type { InboxMessage } from 'tandem/spi'
import { inTransaction, takeFromStock, type Order } from './orders.ts'
import type { Database } from './server.ts'

export interface Task {
  readonly order: Order
  readonly message: InboxMessage
}

export async function createRawInbox(database: Database): Promise<void> {
  await database.query('CREATE TABLE raw_inbox (LIKE tandem.inbox INCLUDING ALL)')
}

const COLUMNS = 'group_name, message_id, type, topic, key, source, sent_at, causation_id, correlation_id, state, at'
const INSERT = `INSERT INTO raw_inbox (${COLUMNS})`
const ON_CONFLICT = 'ON CONFLICT (group_name, message_id) DO NOTHING RETURNING message_id'

/** One message: begin, inbox row, effect, commit. */
export async function handleRaw(pool: pg.Pool, { order, message }: Task): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query({
      name: 'raw_inbox_one',
      text: `${INSERT} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'handled', now()) ${ON_CONFLICT}`,
      values: valuesOf(message),
    })
    if (rowCount === 1) await takeFromStock(client, order)
  })
}

/** Many messages: begin, all inbox rows by one statement, their effects one by one, commit. */
export async function handleRawTogether(pool: pg.Pool, tasks: readonly Task[]): Promise<void> {
  const sorted = tasks.toSorted((a, b) => (a.order.sku < b.order.sku ? -1 : 1))
  const rows = sorted.map(({ message }) => valuesOf(message))
  await inTransaction(pool, async (client) => {
    const { rows: fresh } = await client.query<{ message_id: string }>({
      name: 'raw_inbox_many',
      text: `${INSERT} SELECT *, 'handled', now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
        $6::text[], $7::timestamptz[], $8::text[], $9::text[]) ${ON_CONFLICT}`,
      values: Array.from({ length: 9 }, (_, column) => rows.map((row) => row[column])),
    })
    const isNew = new Set(fresh.map(({ message_id: id }) => id))
    for (const { order, message } of sorted) if (isNew.has(message.id)) await takeFromStock(client, order)
  })
}

function valuesOf({ id, type, topic, key, source, sentAt, causationId, correlationId }: InboxMessage): unknown[] {
  return ['stock', id, type, topic, key, source, new Date(sentAt), causationId, correlationId]
}
