import { createPool } from 'mysql2/promise'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { mysql2 } from 'tandem/drivers/mysql2'
import { mysql } from 'tandem/stores/mysql'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(url: string) {
  const pool = createPool(url)
  const tandem = createTandem({ service: 'shop', store: mysql(mysql2(pool), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx.execute('UPDATE stock SET reserved = reserved + ? WHERE sku = ?', [quantity, sku])
  })

  const placeOrder = async (order: Order) => {
    const connection = await pool.getConnection()
    try {
      await connection.beginTransaction()
      await connection.execute('INSERT INTO orders (id, sku) VALUES (?, ?)', [order.id, order.sku])
      await tandem.send(connection, OrderPlaced(order))
      await connection.commit()
    } catch (error) {
      await connection.rollback()
      throw error
    } finally {
      connection.release()
    }
  }
  return { tandem, placeOrder, close: () => pool.end() }
}
