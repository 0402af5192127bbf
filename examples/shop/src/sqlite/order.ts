/** The order service: takes orders, and learns what became of them. Its own tables and Tandem's are in one file, `order.db`. */
import { createTandem, type Tandem } from 'tandem'
import type { NodeSqliteTransaction as Tx } from 'tandem/drivers/node-sqlite'
import { embedded } from 'tandem/embedded'
import { OrderCancelled, OrderPlaced, PaymentCharged, PaymentDeclined, StockRejected, type Order } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('placed', 'completed', 'cancelled'))
  ) STRICT;
  -- Which half message an order was placed with; only for orders that came in that way.
  CREATE TABLE IF NOT EXISTS half_orders (order_id TEXT PRIMARY KEY, half_id TEXT NOT NULL) STRICT`

export async function startOrder(folder: string, settings: Settings): Promise<Tandem<Tx>> {
  const tandem = createTandem({ service: 'order', store: embedded(folder).store, ...settings })
  await tandem.transaction((tx) => tx.exec(TABLES))

  // Nothing here guards against a message that comes twice: Tandem's inbox does, in the same transaction.
  tandem.consume(PaymentCharged, ({ orderId }, { tx }) => {
    tx.prepare(`UPDATE orders SET state = 'completed' WHERE id = ?`).run(orderId)
  })
  tandem.consume([StockRejected, PaymentDeclined], async ({ orderId, reason }, { tx, send }) => {
    tx.prepare(`UPDATE orders SET state = 'cancelled' WHERE id = ?`).run(orderId)
    await send(OrderCancelled({ orderId, reason }))
  })

  // Asked when nobody has heard of a half message's commit or rollback, for example because the process died in between.
  tandem.check(OrderPlaced, ({ id, payload }) =>
    tandem.transaction((tx) => {
      const order = tx
        .prepare('SELECT half_id FROM orders LEFT JOIN half_orders ON order_id = id WHERE id = ?')
        .get(payload.orderId)
      if (order === undefined) return 'unknown' // not yet, or never; asked again, and in the end a person decides
      return order['half_id'] === id ? 'commit' : 'rollback' // rollback: another request has placed the order
    }),
  )

  await tandem.start()
  return tandem
}

/** Places an order: the row and the message are committed together, or not at all. May be called again with the same order. */
export async function placeOrder(tandem: Pick<Tandem<Tx>, 'transaction' | 'send'>, order: Order): Promise<void> {
  await tandem.transaction(async (tx) => {
    if (insertOrder(tx, order)) await tandem.send(tx, OrderPlaced(order))
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
    await tandem.transaction((tx) => {
      isNew = insertOrder(tx, order)
      if (isNew) tx.prepare('INSERT INTO half_orders (order_id, half_id) VALUES (?, ?)').run(order.orderId, half.id)
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
    const cancel = tx.prepare(`UPDATE orders SET state = 'cancelled' WHERE id = ? AND state = 'completed'`)
    if (cancel.run(orderId).changes === 1) {
      await tandem.send(tx, OrderCancelled({ orderId, reason: 'the customer sent it back' }))
    }
  })
}

/** False if the order is there already: the customer has asked twice. */
function insertOrder(tx: Tx, { orderId, sku, quantity, amount, account }: Order): boolean {
  const insert = tx.prepare(
    `INSERT INTO orders (id, sku, quantity, amount, account, state) VALUES (?, ?, ?, ?, ?, 'placed') ON CONFLICT DO NOTHING`,
  )
  return insert.run(orderId, sku, quantity, amount, account).changes === 1
}
