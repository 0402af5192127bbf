import { median } from '../harness/statistics.ts'
import { freeBroker, stopwatch } from '../harness/stopwatch-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { storeOn, tandemOn } from './orders.ts'
import { seedOutbox } from './outgoing.ts'
import { poolOf, withDatabases } from './server.ts'

export const drain: Bench = {
  name: 'drain',
  title: 'publishing to a broker that costs nothing: what reading and clearing the outbox allows',
  run: ({ slice, database }) =>
    withDatabases(database, ['order'], async (order) => {
      const pool = poolOf(order.url)
      const [rounds, messages] = slice ? [1, 10_000] : [5, 60_000]
      const rates: number[] = []
      for (let round = 0; round <= rounds; round++) {
        const store = storeOn(pool)
        await store.open({ service: 'order' })
        await seedOutbox(store, messages)
        const { broker, seconds } = stopwatch(freeBroker(), messages)
        const tandem = tandemOn('order', pool, broker)
        await tandem.start()
        const rate = messages / (await seconds)
        await tandem.stop()
        if (round > 0) rates.push(rate)
      }
      await pool.end()
      return [{ name: 'published', value: median(rates), unit: 'messages/s', reach: { atLeast: 30_000 } }]
    }),
}
