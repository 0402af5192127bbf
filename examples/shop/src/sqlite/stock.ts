/** The stock service: reserves what is ordered, and takes it back when the order is cancelled. Its file is `stock.db`. */
import { createTandem, type Tandem } from 'tandem'
import type { NodeSqliteTransaction as Tx } from 'tandem/drivers/node-sqlite'
import { embedded } from 'tandem/embedded'
import { OrderCancelled, OrderPlaced, StockRejected, StockReserved } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS stock (
    sku TEXT PRIMARY KEY,
    initial INTEGER NOT NULL,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0)
  ) STRICT;
  -- An order could have two rows here: nothing but Tandem's inbox prevents it, and the books would show it.
  CREATE TABLE IF NOT EXISTS reservations (
    order_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'released'))
  ) STRICT;
  CREATE INDEX IF NOT EXISTS reservations_order ON reservations (order_id)`

export async function startStock(folder: string, settings: Settings): Promise<Tandem<Tx>> {
  const tandem = createTandem({ service: 'stock', store: embedded(folder).store, ...settings })
  await tandem.transaction((tx) => tx.exec(TABLES))

  tandem.consume(
    OrderPlaced,
    async ({ orderId, sku, quantity, amount, account }, { tx, send }) => {
      const article = tx.prepare('SELECT on_hand FROM stock WHERE sku = ?').get(sku)
      // Nobody knows what to do with such an order: after the last attempt it is a dead letter, and a person looks.
      if (article === undefined) throw new Error(`there is no article ${sku} in the stock`)

      if (Number(article['on_hand']) < quantity) return send(StockRejected({ orderId, reason: 'out of stock' }))

      tx.prepare('UPDATE stock SET on_hand = on_hand - ? WHERE sku = ?').run(quantity, sku)
      tx.prepare(`INSERT INTO reservations (order_id, sku, quantity, state) VALUES (?, ?, ?, 'reserved')`).run(
        orderId,
        sku,
        quantity,
      )
      return send(StockReserved({ orderId, amount, account }))
    },
    { retry: { maxAttempts: 6, initial: 100, max: 500 } },
  )

  tandem.consume(OrderCancelled, ({ orderId }, { tx }) => {
    const reservation = tx.prepare('SELECT sku, quantity FROM reservations WHERE order_id = ?').get(orderId)
    if (reservation === undefined) return // it was out of stock
    const { sku, quantity } = reservation as { sku: string; quantity: number }
    tx.prepare(`UPDATE reservations SET state = 'released' WHERE order_id = ?`).run(orderId)
    tx.prepare('UPDATE stock SET on_hand = on_hand + ? WHERE sku = ?').run(quantity, sku)
  })

  await tandem.start()
  return tandem
}

/** Takes a new article into the stock. May be called again. */
export async function addArticle(tandem: Tandem<Tx>, sku: string, quantity: number): Promise<void> {
  await tandem.transaction((tx) => {
    tx.prepare('INSERT INTO stock (sku, initial, on_hand) VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(
      sku,
      quantity,
      quantity,
    )
  })
}
