import Database from 'better-sqlite3'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { betterSqlite3 } from 'tandem/drivers/better-sqlite3'
import { sqlite } from 'tandem/stores/sqlite'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(file: string) {
  const db = new Database(file)
  const tandem = createTandem({
    service: 'shop',
    store: sqlite(betterSqlite3(db), { migrate: true }),
    broker: memory(),
  })

  tandem.consume(OrderPlaced, ({ sku, quantity }, { tx }) => {
    tx.prepare('UPDATE stock SET reserved = reserved + ? WHERE sku = ?').run(quantity, sku)
  })

  const placeOrder = async (order: Order) => {
    // SQLite has one writer: Tandem begins the transactions, and so they wait for each other.
    await tandem.transaction(async (tx) => {
      tx.prepare('INSERT INTO orders (id, sku) VALUES (?, ?)').run(order.id, order.sku)
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => void db.close() }
}
