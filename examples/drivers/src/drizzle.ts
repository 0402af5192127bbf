import { eq, sql } from 'drizzle-orm'
import { drizzle as connect } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { drizzle } from 'tandem/drivers/drizzle'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

const orders = pgTable('orders', { id: integer().primaryKey(), sku: text().notNull() })
const stock = pgTable('stock', { sku: text().primaryKey(), reserved: integer().notNull() })

export function makeShop(url: string) {
  const pool = new Pool({ connectionString: url })
  const db = connect({ client: pool, schema: { orders, stock } })
  const tandem = createTandem({ service: 'shop', store: postgres(drizzle(db), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    const reserved = sql`${stock.reserved} + ${quantity}`
    await tx.update(stock).set({ reserved }).where(eq(stock.sku, sku))
  })

  const placeOrder = async (order: Order) => {
    await db.transaction(async (tx) => {
      await tx.insert(orders).values({ id: order.id, sku: order.sku })
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => pool.end() }
}
