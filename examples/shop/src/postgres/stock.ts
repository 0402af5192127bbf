/** The stock service on PostgreSQL, through the package `pg`: reserves what is ordered, and takes it back when the order is cancelled. */
import { Pool, type PoolClient } from 'pg'
import { createTandem, type Tandem } from 'tandem'
import { pg } from 'tandem/drivers/pg'
import { postgres } from 'tandem/stores/postgres'
import { OrderCancelled, OrderPlaced, StockRejected, StockReserved } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS stock (
    sku text PRIMARY KEY,
    initial integer NOT NULL,
    on_hand integer NOT NULL CHECK (on_hand >= 0)
  );
  -- An order could have two rows here: nothing but Tandem's inbox prevents it, and the books would show it.
  CREATE TABLE IF NOT EXISTS reservations (
    order_id text NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    state text NOT NULL CHECK (state IN ('reserved', 'released'))
  );
  CREATE INDEX IF NOT EXISTS reservations_order ON reservations (order_id)`

export async function startStock(url: string, settings: Settings): Promise<Tandem<PoolClient>> {
  const pool = new Pool({ connectionString: url })
  const tandem = createTandem({ service: 'stock', store: postgres(pg(pool), { migrate: true }), ...settings })
  await tandem.transaction((tx) => tx.query(TABLES))

  tandem.consume(
    OrderPlaced,
    async ({ orderId, sku, quantity, amount, account }, { tx, send }) => {
      const find = await tx.query<{ on_hand: number }>('SELECT on_hand FROM stock WHERE sku = $1 FOR UPDATE', [sku])
      const article = find.rows[0]
      // Nobody knows what to do with such an order: after the last attempt it is a dead letter, and a person looks.
      if (article === undefined) throw new Error(`there is no article ${sku} in the stock`)

      if (article.on_hand < quantity) return send(StockRejected({ orderId, reason: 'out of stock' }))

      await tx.query('UPDATE stock SET on_hand = on_hand - $1 WHERE sku = $2', [quantity, sku])
      await tx.query(`INSERT INTO reservations (order_id, sku, quantity, state) VALUES ($1, $2, $3, 'reserved')`, [
        orderId,
        sku,
        quantity,
      ])
      return send(StockReserved({ orderId, amount, account }))
    },
    { retry: { maxAttempts: 6, initial: 100, max: 500 } },
  )

  tandem.consume(OrderCancelled, async ({ orderId }, { tx }) => {
    const released = await tx.query<{ sku: string; quantity: number }>(
      `UPDATE reservations SET state = 'released' WHERE order_id = $1 RETURNING sku, quantity`,
      [orderId],
    )
    const reservation = released.rows[0]
    if (reservation === undefined) return // it was out of stock
    await tx.query('UPDATE stock SET on_hand = on_hand + $1 WHERE sku = $2', [reservation.quantity, reservation.sku])
  })

  await tandem.start()
  return tandem
}

/** Takes a new article into the stock. May be called again. */
export async function addArticle(tandem: Tandem<PoolClient>, sku: string, quantity: number): Promise<void> {
  await tandem.transaction((tx) =>
    tx.query('INSERT INTO stock (sku, initial, on_hand) VALUES ($1, $2, $2) ON CONFLICT DO NOTHING', [sku, quantity]),
  )
}
