import { EntitySchema, MikroORM } from '@mikro-orm/postgresql'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { mikroOrm } from 'tandem/drivers/mikro-orm'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

const Orders = new EntitySchema<{ id: number; sku: string }>({
  name: 'orders',
  properties: { id: { type: 'number', primary: true }, sku: { type: 'string' } },
})
const Stock = new EntitySchema<{ sku: string; reserved: number }>({
  name: 'stock',
  properties: { sku: { type: 'string', primary: true }, reserved: { type: 'number' } },
})

export function makeShop(url: string) {
  const orm = new MikroORM({ clientUrl: url, entities: [Orders, Stock] })
  const tandem = createTandem({
    service: 'shop',
    store: postgres(mikroOrm(orm.em), { migrate: true }),
    broker: memory(),
  })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    const stock = await tx.findOneOrFail(Stock, { sku })
    stock.reserved += quantity
  })

  const placeOrder = async (order: Order) => {
    await orm.em.fork().transactional(async (tx) => {
      await tx.insert(Orders, { id: order.id, sku: order.sku })
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => orm.close() }
}
