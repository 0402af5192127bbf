import { PGlite } from '@electric-sql/pglite'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { pglite } from 'tandem/drivers/pglite'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

export async function makeShop(folder: string) {
  const db = await PGlite.create(folder)
  const tandem = createTandem({ service: 'shop', store: postgres(pglite(db), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx.query('UPDATE stock SET reserved = reserved + $1 WHERE sku = $2', [quantity, sku])
  })

  const placeOrder = async (order: Order) => {
    await db.transaction(async (tx) => {
      await tx.query('INSERT INTO orders (id, sku) VALUES ($1, $2)', [order.id, order.sku])
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => db.close() }
}
