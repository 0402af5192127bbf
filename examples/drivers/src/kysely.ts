import { Kysely, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { kysely } from 'tandem/drivers/kysely'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

interface Tables {
  orders: { id: number; sku: string }
  stock: { sku: string; reserved: number }
}

export function makeShop(url: string) {
  const pool = new Pool({ connectionString: url })
  // Nobody else listens, and a connection that breaks would end the process.
  pool.on('error', console.error)
  pool.on('connect', (client) => client.on('error', console.error))
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  const tandem = createTandem({ service: 'shop', store: postgres(kysely(db), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    const stock = tx.updateTable('stock').where('sku', '=', sku)
    await stock.set((row) => ({ reserved: row('reserved', '+', quantity) })).execute()
  })

  const placeOrder = async (order: Order) => {
    await db.transaction().execute(async (trx) => {
      await trx.insertInto('orders').values({ id: order.id, sku: order.sku }).execute()
      await tandem.send(trx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => db.destroy() }
}
