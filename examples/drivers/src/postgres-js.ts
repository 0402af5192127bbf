import postgresjs from 'postgres'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { postgresJs } from 'tandem/drivers/postgres-js'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(url: string) {
  const sql = postgresjs(url)
  const tandem = createTandem({
    service: 'shop',
    store: postgres(postgresJs(sql), { migrate: true }),
    broker: memory(),
  })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx`UPDATE stock SET reserved = reserved + ${quantity} WHERE sku = ${sku}`
  })

  const placeOrder = async (order: Order) => {
    await sql.begin(async (tx) => {
      await tx`INSERT INTO orders (id, sku) VALUES (${order.id}, ${order.sku})`
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => sql.end() }
}
