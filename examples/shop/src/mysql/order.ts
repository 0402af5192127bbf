/** The order service on MariaDB or MySQL, through the package `mysql2`: takes orders, and learns what became of them. */
import { createPool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise'
import { createTandem, type Tandem } from 'tandem'
import { mysql2 } from 'tandem/drivers/mysql2'
import { mysql } from 'tandem/stores/mysql'
import { OrderCancelled, OrderPlaced, PaymentCharged, PaymentDeclined, StockRejected, type Order } from '../messages.ts'
import type { Settings } from '../settings.ts'

type Tx = PoolConnection

const TABLES = [
  `CREATE TABLE IF NOT EXISTS orders (
    id varchar(100) PRIMARY KEY,
    sku varchar(100) NOT NULL,
    quantity integer NOT NULL,
    amount integer NOT NULL,
    account varchar(100) NOT NULL,
    state varchar(20) NOT NULL CHECK (state IN ('placed', 'completed', 'cancelled'))
  )`,
  // Which half message an order was placed with; only for orders that came in that way.
  `CREATE TABLE IF NOT EXISTS half_orders (order_id varchar(100) PRIMARY KEY, half_id varchar(100) NOT NULL)`,
]

export async function startOrder(url: string, settings: Settings): Promise<Tandem<Tx>> {
  const pool = createPool(url)
  const tandem = createTandem({ service: 'order', store: mysql(mysql2(pool), { migrate: true }), ...settings })
  for (const table of TABLES) await pool.query(table)

  // Nothing here guards against a message that comes twice: Tandem's inbox does, in the same transaction.
  tandem.consume(PaymentCharged, async ({ orderId }, { tx }) => {
    await tx.execute(`UPDATE orders SET state = 'completed' WHERE id = ?`, [orderId])
  })
  tandem.consume([StockRejected, PaymentDeclined], async ({ orderId, reason }, { tx, send }) => {
    await tx.execute(`UPDATE orders SET state = 'cancelled' WHERE id = ?`, [orderId])
    await send(OrderCancelled({ orderId, reason }))
  })

  // Asked when nobody has heard of a half message's commit or rollback, for example because the process died in between.
  tandem.check(OrderPlaced, async ({ id, payload }) => {
    const [[order]] = await pool.execute<(RowDataPacket & { half_id: string | null })[]>(
      'SELECT half_id FROM orders LEFT JOIN half_orders ON order_id = id WHERE id = ?',
      [payload.orderId],
    )
    if (order === undefined) return 'unknown' // not yet, or never; asked again, and in the end a person decides
    return order.half_id === id ? 'commit' : 'rollback' // rollback: another request has placed the order
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
      if (isNew) await tx.execute('INSERT INTO half_orders (order_id, half_id) VALUES (?, ?)', [order.orderId, half.id])
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
    const cancel = `UPDATE orders SET state = 'cancelled' WHERE id = ? AND state = 'completed'`
    const [{ affectedRows }] = await tx.execute<ResultSetHeader>(cancel, [orderId])
    if (affectedRows === 1) {
      await tandem.send(tx, OrderCancelled({ orderId, reason: 'the customer sent it back' }))
    }
  })
}

/** False if the order is there already: the customer has asked twice. */
async function insertOrder(tx: Tx, { orderId, sku, quantity, amount, account }: Order): Promise<boolean> {
  const [{ affectedRows }] = await tx.execute<ResultSetHeader>(
    `INSERT IGNORE INTO orders (id, sku, quantity, amount, account, state) VALUES (?, ?, ?, ?, ?, 'placed')`,
    [orderId, sku, quantity, amount, account],
  )
  return affectedRows === 1
}
