import createKnex from 'knex'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { knex } from 'tandem/drivers/knex'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(url: string) {
  const db = createKnex({ client: 'pg', connection: url })
  const tandem = createTandem({ service: 'shop', store: postgres(knex(db), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx('stock').where({ sku }).increment('reserved', quantity)
  })

  const placeOrder = async (order: Order) => {
    await db.transaction(async (trx) => {
      await trx('orders').insert({ id: order.id, sku: order.sku })
      await tandem.send(trx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => db.destroy() }
}
