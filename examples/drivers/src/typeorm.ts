import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { typeorm } from 'tandem/drivers/typeorm'
import { postgres } from 'tandem/stores/postgres'
import { DataSource, EntitySchema } from 'typeorm'
import { OrderPlaced, type Order } from './order-placed.ts'

const Orders = new EntitySchema<{ id: number; sku: string }>({
  name: 'orders',
  columns: { id: { type: 'int', primary: true }, sku: { type: 'varchar' } },
})
const Stock = new EntitySchema<{ sku: string; reserved: number }>({
  name: 'stock',
  columns: { sku: { type: 'varchar', primary: true }, reserved: { type: 'int' } },
})

export async function makeShop(url: string) {
  const dataSource = await new DataSource({ type: 'postgres', url, entities: [Orders, Stock] }).initialize()
  const tandem = createTandem({
    service: 'shop',
    store: postgres(typeorm(dataSource), { migrate: true }),
    broker: memory(),
  })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx.increment(Stock, { sku }, 'reserved', quantity)
  })

  const placeOrder = async (order: Order) => {
    await dataSource.transaction(async (tx) => {
      await tx.insert(Orders, { id: order.id, sku: order.sku })
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => dataSource.destroy() }
}
