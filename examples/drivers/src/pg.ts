import { Pool } from 'pg'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { pg } from 'tandem/drivers/pg'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(url: string) {
  const pool = new Pool({ connectionString: url })
  const tandem = createTandem({ service: 'shop', store: postgres(pg(pool), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx.query('UPDATE stock SET reserved = reserved + $1 WHERE sku = $2', [quantity, sku])
  })

  const placeOrder = async (order: Order) => {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await client.query('INSERT INTO orders (id, sku) VALUES ($1, $2)', [order.id, order.sku])
      await tandem.send(client, OrderPlaced(order))
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK')
      throw error
    } finally {
      client.release()
    }
  }
  return { tandem, placeOrder, close: () => pool.end() }
}
