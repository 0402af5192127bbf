import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import type { Figure } from '../harness/figures.ts'
import { freeBroker } from '../harness/stopwatch-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { createTables, insertOrder, orderOf, placeOrder, takeFromStock, tandemOn } from './orders.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'
import { TwoPhaseCommit } from './two-phase.ts'

export const placement: Bench = {
  name: 'placement',
  title: `placing an order, ${CLIENTS} clients: Tandem tells the stock service; two-phase commit changes its database as well`,
  run: ({ slice, database }) =>
    withDatabases(database, ['order', 'stock'], async (order, stock) => {
      await createTables(order, stock)
      await TwoPhaseCommit.createTables(order)
      const [orders, stocks] = [poolOf(order.url), poolOf(stock.url)]
      const twoPhase = new TwoPhaseCommit(orders, stocks)
      await twoPhase.recover()
      // Publishing is not waited for, and is measured by `end-to-end`.
      const tandem = tandemOn('order', orders, freeBroker())
      await tandem.open()
      const rounds = slice ? 1 : 7
      const figures: Figure[] = []
      let number = 0
      for (const hot of [false, true]) {
        const [placed, agreed] = slice ? [200, 50] : hot ? [2000, 200] : [2000, 600]
        const rates = await compared(rounds, {
          tandem: () => rateOf(CLIENTS, placed, () => placeOrder(tandem, orderOf(number++, hot))),
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
            reach: { atLeast: hot ? 6 : 3 },
          },
        )
      }
      await tandem.stop()
      await Promise.all([orders.end(), stocks.end()])
      return figures
    }),
}
