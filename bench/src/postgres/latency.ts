import { Child } from '../harness/child.ts'
import { percentile } from '../harness/statistics.ts'
import type { Bench } from '../harness/suite.ts'
import type { FlowParameters } from './flow.ts'
import { createTables } from './orders.ts'
import { withDatabases } from './server.ts'

export const latency: Bench = {
  name: 'latency',
  title:
    'from the end of the producer’s commit to the end of the consumer’s, two processes, SQLite broker, an order every 20 ms',
  run: ({ slice, folder, database }) =>
    withDatabases(database, ['order', 'stock'], async (order, stock) => {
      await createTables(order, stock)
      const parameters: FlowParameters = { url: order.url, folder, orders: slice ? 50 : 500, pause: 20 }
      const consumer = new Child(new URL('programs/stock-service.ts', import.meta.url), {
        ...parameters,
        url: stock.url,
      })
      const producer = new Child(new URL('programs/order-service.ts', import.meta.url), parameters)
      try {
        await Promise.all([consumer.told('ready'), producer.told('ready')])
        producer.tell('go')
        const [committedAt, handledAt] = await Promise.all([
          producer.told<readonly number[]>('sent'),
          consumer.told<readonly number[]>('handled'),
        ])
        // The first tenth still compiles.
        const delays = committedAt.map((at, i) => (handledAt[i] ?? Number.NaN) - at).slice(committedAt.length / 10)
        return [
          { name: 'commit to handled, p50', value: percentile(delays, 50), unit: 'ms', reach: { atMost: 4 } },
          { name: 'commit to handled, p99', value: percentile(delays, 99), unit: 'ms', reach: { atMost: 20 } },
          { name: 'commit to handled, longest', value: percentile(delays, 100), unit: 'ms' },
        ]
      } finally {
        await Promise.all([producer[Symbol.asyncDispose](), consumer[Symbol.asyncDispose]()])
      }
    }),
}
