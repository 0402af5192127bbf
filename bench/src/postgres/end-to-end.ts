import { join } from 'node:path'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite as sqliteBroker } from 'tandem/brokers/sqlite'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import type { Figure } from '../harness/figures.ts'
import type { Bench } from '../harness/suite.ts'
import { EventCounter } from './counter.ts'
import {
  checkStock,
  createTables,
  insertOrder,
  OrderPlaced,
  orderOf,
  placeOrder,
  takeFromStock,
  tandemOn,
} from './orders.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'
import { TwoPhaseCommit } from './two-phase.ts'

/** Messages that the stock service handles in one transaction. */
const TRANSACTION_SIZE = 64
/** Transactions at the same time: few, so that they are filled; with a hot row they only wait for each other. */
const CONCURRENCY = 2

export const endToEnd: Bench = {
  name: 'end-to-end',
  title: `order placed and stock reserved, ${CLIENTS} clients, both services in one process: Tandem over its SQLite broker, and two-phase commit`,
  run: ({ slice, folder, database }) =>
    withDatabases(database, ['order', 'stock'], async (order, stock) => {
      await createTables(order, stock)
      await TwoPhaseCommit.createTables(order)
      const [orders, stocks] = [poolOf(order.url), poolOf(stock.url)]
      const twoPhase = new TwoPhaseCommit(orders, stocks)
      await twoPhase.recover()
      const broker = () => sqliteBroker(nodeSqlite(join(folder, 'broker.db')))
      const orderService = tandemOn('order', orders, broker())
      const stockService = tandemOn('stock', stocks, broker())
      stockService.consume(OrderPlaced, (placed, { tx }) => takeFromStock(tx, placed), {
        transactionSize: TRANSACTION_SIZE,
        concurrency: CONCURRENCY,
      })
      const handled = new EventCounter(stockService, 'message.handled')
      await stockService.start()
      await orderService.start()
      const rounds = slice ? 1 : 7
      const figures: Figure[] = []
      let number = 0
      for (const hot of [false, true]) {
        const [count, agreed] = slice ? [200, 50] : hot ? [2000, 200] : [2000, 600]
        const rates = await compared(rounds, {
          tandem: async () => {
            const goal = handled.count + count
            const from = performance.now()
            await rateOf(CLIENTS, count, () => placeOrder(orderService, orderOf(number++, hot)))
            await handled.reached(goal)
            return (count / (performance.now() - from)) * 1000
          },
          twoPhase: () =>
            rateOf(CLIENTS, agreed, () => {
              const one = orderOf(number++, hot)
              return twoPhase.run(
                (client) => insertOrder(client, one),
                (client) => takeFromStock(client, one),
              )
            }),
        })
        const where = hot ? 'one hot stock row' : 'uncontended'
        figures.push(
          { name: `${where}: Tandem`, value: rates.rate('tandem'), unit: 'orders/s' },
          { name: `${where}: two-phase commit`, value: rates.rate('twoPhase'), unit: 'orders/s' },
          {
            name: `${where}: ratio`,
            value: rates.ratio('tandem', 'twoPhase'),
            unit: '',
            reach: { atLeast: hot ? 4 : 1.3 },
          },
        )
      }
      await checkStock(stock, number)
      await orderService.stop()
      await stockService.stop()
      await Promise.all([orders.end(), stocks.end()])
      return figures
    }),
}
