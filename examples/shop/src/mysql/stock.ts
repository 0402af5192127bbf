/** The stock service on MariaDB or MySQL, through the package `mysql2`: reserves what is ordered, and takes it back when the order is cancelled. */
import { createPool, type PoolConnection, type RowDataPacket } from 'mysql2/promise'
import { createTandem, type Tandem } from 'tandem'
import { mysql2 } from 'tandem/drivers/mysql2'
import { mysql } from 'tandem/stores/mysql'
import { OrderCancelled, OrderPlaced, StockRejected, StockReserved } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = [
  `CREATE TABLE IF NOT EXISTS stock (
    sku varchar(100) PRIMARY KEY,
    initial integer NOT NULL,
    on_hand integer NOT NULL CHECK (on_hand >= 0)
  )`,
  // An order could have two rows here: nothing but Tandem's inbox prevents it, and the books would show it.
  `CREATE TABLE IF NOT EXISTS reservations (
    order_id varchar(100) NOT NULL,
    sku varchar(100) NOT NULL,
    quantity integer NOT NULL,
    state varchar(20) NOT NULL CHECK (state IN ('reserved', 'released')),
    INDEX reservations_order (order_id)
  )`,
]

export async function startStock(url: string, settings: Settings): Promise<Tandem<PoolConnection>> {
  const pool = createPool(url)
  const tandem = createTandem({ service: 'stock', store: mysql(mysql2(pool), { migrate: true }), ...settings })
  for (const table of TABLES) await pool.query(table)

  tandem.consume(
    OrderPlaced,
    async ({ orderId, sku, quantity, amount, account }, { tx, send }) => {
      const [[article]] = await tx.execute<(RowDataPacket & { on_hand: number })[]>(
        'SELECT on_hand FROM stock WHERE sku = ? FOR UPDATE',
        [sku],
      )
      // Nobody knows what to do with such an order: after the last attempt it is a dead letter, and a person looks.
      if (article === undefined) throw new Error(`there is no article ${sku} in the stock`)

      if (article.on_hand < quantity) return send(StockRejected({ orderId, reason: 'out of stock' }))

      await tx.execute('UPDATE stock SET on_hand = on_hand - ? WHERE sku = ?', [quantity, sku])
      await tx.execute(`INSERT INTO reservations (order_id, sku, quantity, state) VALUES (?, ?, ?, 'reserved')`, [
        orderId,
        sku,
        quantity,
      ])
      return send(StockReserved({ orderId, amount, account }))
    },
    { retry: { maxAttempts: 6, initial: 100, max: 500 } },
  )

  tandem.consume(OrderCancelled, async ({ orderId }, { tx }) => {
    const [[reservation]] = await tx.execute<(RowDataPacket & { sku: string; quantity: number })[]>(
      'SELECT sku, quantity FROM reservations WHERE order_id = ?',
      [orderId],
    )
    if (reservation === undefined) return // it was out of stock
    const { sku, quantity } = reservation
    await tx.execute(`UPDATE reservations SET state = 'released' WHERE order_id = ?`, [orderId])
    await tx.execute('UPDATE stock SET on_hand = on_hand + ? WHERE sku = ?', [quantity, sku])
  })

  await tandem.start()
  return tandem
}

/** Takes a new article into the stock. May be called again. */
export async function addArticle(tandem: Tandem<PoolConnection>, sku: string, quantity: number): Promise<void> {
  await tandem.transaction((tx) =>
    tx.execute('INSERT IGNORE INTO stock (sku, initial, on_hand) VALUES (?, ?, ?)', [sku, quantity, quantity]),
  )
}
