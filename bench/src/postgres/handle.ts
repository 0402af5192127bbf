import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import { feedingBroker } from '../harness/feeding-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { checkStock, createTables, OrderPlaced, orderOf, takeFromStock, tandemOn } from './orders.ts'
import { incoming, outgoing } from './outgoing.ts'
import { createRawInbox, handleRaw } from './raw.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'

export const handle: Bench = {
  name: 'handle',
  title: `effect-once handling, one message a transaction, ${CLIENTS} at once, from a broker that costs nothing, against raw SQL`,
  run: ({ slice, database }) =>
    withDatabases(database, ['stock'], async (stock) => {
      await createTables(stock)
      const pool = poolOf(stock.url)
      const { broker, feed } = feedingBroker()
      const tandem = tandemOn('stock', pool, broker)
      tandem.consume(OrderPlaced, (order, { tx }) => takeFromStock(tx, order), { concurrency: CLIENTS })
      await tandem.start()
      await createRawInbox(stock)
      const [rounds, count] = slice ? [1, 300] : [11, 2000]
      let number = 0
      const messages = () => Array.from({ length: count }, () => outgoing(number++))
      const rates = await compared(rounds, {
        raw: () => {
          const first = number
          const tasks = messages().map((message, i) => ({ order: orderOf(first + i), message: incoming(message) }))
          return rateOf(CLIENTS, count, (turn) => handleRaw(pool, tasks[turn]!))
        },
        tandem: async () => count / (await feed(messages())),
      })
      await checkStock(stock, number)
      await tandem.stop()
      await pool.end()
      return [
        { name: 'raw SQL', value: rates.rate('raw'), unit: 'messages/s' },
        { name: 'Tandem', value: rates.rate('tandem'), unit: 'messages/s' },
        { name: 'ratio', value: rates.ratio('tandem', 'raw'), unit: '', reach: { atLeast: 0.8 } },
      ]
    }),
}
