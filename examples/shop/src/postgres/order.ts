/** The order service on PostgreSQL, through the package `pg`: takes orders, and learns what became of them. */
import { Pool, type PoolClient } from 'pg'
import { createTandem, type Tandem } from 'tandem'
import { pg } from 'tandem/drivers/pg'
import { postgres } from 'tandem/stores/postgres'
import { OrderCancelled, OrderPlaced, PaymentCharged, PaymentDeclined, StockRejected, type Order } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS orders (
    id text PRIMARY KEY,
    sku text NOT NULL,
    quantity integer NOT NULL,
    amount integer NOT NULL,
    account text NOT NULL,
    state text NOT NULL CHECK (state IN ('placed', 'completed', 'cancelled'))
  );
  -- Which half message an order was placed with; only for orders that came in that way.
  CREATE TABLE IF NOT EXISTS half_orders (order_id text PRIMARY KEY, half_id text NOT NULL)`

export async function startOrder(url: string, settings: Settings): Promise<Tandem<PoolClient>> {
  const pool = new Pool({ connectionString: url })
  const tandem = createTandem({ service: 'order', store: postgres(pg(pool), { migrate: true }), ...settings })
  await tandem.transaction((tx) => tx.query(TABLES))

  // Nothing here guards against a message that comes twice: Tandem's inbox does, in the same transaction.
  tandem.consume(PaymentCharged, async ({ orderId }, { tx }) => {
    await tx.query(`UPDATE orders SET state = 'completed' WHERE id = $1`, [orderId])
  })
  tandem.consume([StockRejected, PaymentDeclined], async ({ orderId, reason }, { tx, send }) => {
    await tx.query(`UPDATE orders SET state = 'cancelled' WHERE id = $1`, [orderId])
    await send(OrderCancelled({ orderId, reason }))
  })

  // Asked when nobody has heard of a half message's commit or rollback, for example because the process died in between.
  tandem.check(OrderPlaced, ({ id, payload }) =>
    tandem.transaction(async (tx) => {
      const { rows } = await tx.query<{ half_id: string | null }>(
        'SELECT half_id FROM orders LEFT JOIN half_orders ON order_id = id WHERE id = $1',
        [payload.orderId],
      )
      const order = rows[0]
      if (order === undefined) return 'unknown' // not yet, or never; asked again, and in the end a person decides
      return order.half_id === id ? 'commit' : 'rollback' // rollback: another request has placed the order
    }),
  )

  await tandem.start()
  return tandem
}

/** Places an order: the row and the message are committed together, or not at all. May be called again with the same order. */
export async function placeOrder(
  tandem: Pick<Tandem<PoolClient>, 'transaction' | 'send'>,
  order: Order,
): Promise<void> {
  await tandem.transaction(async (tx) => {
    if (await insertOrder(tx, order)) await tandem.send(tx, OrderPlaced(order))
  })
}

/**
 * Places an order with a half message, as one would if the orders were in another database than Tandem's tables: prepared before the
 * local transaction, committed after it. If the process dies in between, the check above finds out how it ended.
 */
export async function placeOrderWithHalfMessage(
  tandem: Pick<Tandem<PoolClient>, 'transaction' | 'prepare'>,
  order: Order,
): Promise<void> {
  const half = await tandem.prepare(OrderPlaced(order))
  let isNew = false
  let isWritten = false
  try {
    await tandem.transaction(async (tx) => {
      isNew = await insertOrder(tx, order)
      if (isNew) await tx.query('INSERT INTO half_orders (order_id, half_id) VALUES ($1, $2)', [order.orderId, half.id])
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
export async function cancelOrder(tandem: Tandem<PoolClient>, orderId: string): Promise<void> {
  await tandem.transaction(async (tx) => {
    const cancel = `UPDATE orders SET state = 'cancelled' WHERE id = $1 AND state = 'completed'`
    if ((await tx.query(cancel, [orderId])).rowCount === 1) {
      await tandem.send(tx, OrderCancelled({ orderId, reason: 'the customer sent it back' }))
    }
  })
}

/** False if the order is there already: the customer has asked twice. */
async function insertOrder(tx: PoolClient, { orderId, sku, quantity, amount, account }: Order): Promise<boolean> {
  const { rowCount } = await tx.query(
    `INSERT INTO orders (id, sku, quantity, amount, account, state) VALUES ($1, $2, $3, $4, $5, 'placed') ON CONFLICT DO NOTHING`,
    [orderId, sku, quantity, amount, account],
  )
  return rowCount === 1
}
