import { PrismaPg } from '@prisma/adapter-pg'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { prisma } from 'tandem/drivers/prisma'
import { postgres } from 'tandem/stores/postgres'
import { PrismaClient } from '../prisma/generated/client.ts'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(url: string) {
  const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
  const tandem = createTandem({ service: 'shop', store: postgres(prisma(client), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await tx.stock.update({ where: { sku }, data: { reserved: { increment: quantity } } })
  })

  const placeOrder = async (order: Order) => {
    await client.$transaction(async (tx) => {
      await tx.order.create({ data: { id: order.id, sku: order.sku } })
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => client.$disconnect() }
}
