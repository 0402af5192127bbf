/** The order service on PostgreSQL, through drizzle: takes orders, and learns what became of them. */
import { and, eq, sql } from 'drizzle-orm'
import { drizzle as connect } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { createTandem, type Tandem } from 'tandem'
import { drizzle, type DrizzleTransaction } from 'tandem/drivers/drizzle'
import { postgres } from 'tandem/stores/postgres'
import { OrderCancelled, OrderPlaced, PaymentCharged, PaymentDeclined, StockRejected, type Order } from '../messages.ts'
import type { Settings } from '../settings.ts'

const orders = pgTable('orders', {
  id: text().primaryKey(),
  sku: text().notNull(),
  quantity: integer().notNull(),
  amount: integer().notNull(),
  account: text().notNull(),
  state: text({ enum: ['placed', 'completed', 'cancelled'] }).notNull(),
})
/** Which half message an order was placed with; only for orders that came in that way. */
const halfOrders = pgTable('half_orders', { orderId: text('order_id').primaryKey(), halfId: text('half_id').notNull() })

/** In earnest, drizzle-kit makes the tables. */
const TABLES = sql`
  CREATE TABLE IF NOT EXISTS orders (
    id text PRIMARY KEY,
    sku text NOT NULL,
    quantity integer NOT NULL,
    amount integer NOT NULL,
    account text NOT NULL,
    state text NOT NULL CHECK (state IN ('placed', 'completed', 'cancelled'))
  );
  CREATE TABLE IF NOT EXISTS half_orders (order_id text PRIMARY KEY, half_id text NOT NULL)`

const open = (url: string) => connect({ client: new Pool({ connectionString: url }), schema: { orders, halfOrders } })
type Tx = DrizzleTransaction<ReturnType<typeof open>>

export async function startOrder(url: string, settings: Settings): Promise<Tandem<Tx>> {
  const db = open(url)
  const tandem = createTandem({ service: 'order', store: postgres(drizzle(db), { migrate: true }), ...settings })
  await db.execute(TABLES)

  // Nothing here guards against a message that comes twice: Tandem's inbox does, in the same transaction.
  tandem.consume(PaymentCharged, async ({ orderId }, { tx }) => {
    await tx.update(orders).set({ state: 'completed' }).where(eq(orders.id, orderId))
  })
  tandem.consume([StockRejected, PaymentDeclined], async ({ orderId, reason }, { tx, send }) => {
    await tx.update(orders).set({ state: 'cancelled' }).where(eq(orders.id, orderId))
    await send(OrderCancelled({ orderId, reason }))
  })

  // Asked when nobody has heard of a half message's commit or rollback, for example because the process died in between.
  tandem.check(OrderPlaced, async ({ id, payload }) => {
    const [order] = await db
      .select({ halfId: halfOrders.halfId })
      .from(orders)
      .leftJoin(halfOrders, eq(halfOrders.orderId, orders.id))
      .where(eq(orders.id, payload.orderId))
    if (order === undefined) return 'unknown' // not yet, or never; asked again, and in the end a person decides
    return order.halfId === id ? 'commit' : 'rollback' // rollback: another request has placed the order
  })

  await tandem.start()
  return tandem
}

/** Places an order: the row and the message are committed together, or not at all. May be called again with the same order. */
export async function placeOrder(tandem: Pick<Tandem<Tx>, 'transaction' | 'send'>, order: Order): Promise<void> {
  await tandem.transaction(async (tx) => {
    if (await insertOrder(tx, order)) await tandem.send(tx, OrderPlaced(order))
  })
}

/**
 * Places an order with a half message, as one would if the orders were in another database than Tandem's tables: prepared before the
 * local transaction, committed after it. If the process dies in between, the check above finds out how it ended.
 */
export async function placeOrderWithHalfMessage(
  tandem: Pick<Tandem<Tx>, 'transaction' | 'prepare'>,
  order: Order,
): Promise<void> {
  const half = await tandem.prepare(OrderPlaced(order))
  let isNew = false
  let isWritten = false
  try {
    await tandem.transaction(async (tx) => {
      isNew = await insertOrder(tx, order)
      if (isNew) await tx.insert(halfOrders).values({ orderId: order.orderId, halfId: half.id })
      isWritten = true
    })
  } catch (error) {
    // A COMMIT that has got no answer may have happened: then the check above finds out.
    if (!isWritten) await half.rollback()
    throw error
  }
  await (isNew ? half.commit() : half.rollback())
}

/** The customer sends a completed order back. May be called again. */
export async function cancelOrder(tandem: Tandem<Tx>, orderId: string): Promise<void> {
  await tandem.transaction(async (tx) => {
    const isCompleted = and(eq(orders.id, orderId), eq(orders.state, 'completed'))
    const cancelled = await tx
      .update(orders)
      .set({ state: 'cancelled' })
      .where(isCompleted)
      .returning({ id: orders.id })
    if (cancelled.length === 1) {
      await tandem.send(tx, OrderCancelled({ orderId, reason: 'the customer sent it back' }))
    }
  })
}

/** False if the order is there already: the customer has asked twice. */
async function insertOrder(tx: Tx, { orderId, ...order }: Order): Promise<boolean> {
  const row = { id: orderId, ...order, state: 'placed' as const }
  const inserted = await tx.insert(orders).values(row).onConflictDoNothing().returning({ id: orders.id })
  return inserted.length === 1
}
