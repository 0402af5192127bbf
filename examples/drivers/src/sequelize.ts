import { DataTypes, Sequelize } from 'sequelize'
import { createTandem } from 'tandem'
import { memory } from 'tandem/brokers/memory'
import { sequelize } from 'tandem/drivers/sequelize'
import { postgres } from 'tandem/stores/postgres'
import { OrderPlaced, type Order } from './order-placed.ts'

export function makeShop(url: string) {
  const db = new Sequelize(url, { logging: false, define: { timestamps: false } })
  const orders = db.define('orders', {
    id: { type: DataTypes.INTEGER, primaryKey: true },
    sku: { type: DataTypes.STRING, allowNull: false },
  })
  const stock = db.define(
    'stock',
    { sku: { type: DataTypes.STRING, primaryKey: true }, reserved: { type: DataTypes.INTEGER, allowNull: false } },
    { freezeTableName: true },
  )
  const tandem = createTandem({ service: 'shop', store: postgres(sequelize(db), { migrate: true }), broker: memory() })

  tandem.consume(OrderPlaced, async ({ sku, quantity }, { tx }) => {
    await stock.increment({ reserved: quantity }, { where: { sku }, transaction: tx })
  })

  const placeOrder = async (order: Order) => {
    await db.transaction(async (tx) => {
      await orders.create({ id: order.id, sku: order.sku }, { transaction: tx })
      await tandem.send(tx, OrderPlaced(order))
    })
  }
  return { tandem, placeOrder, close: () => db.close() }
}
