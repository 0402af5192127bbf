import { join } from 'node:path'
import { createTandem } from 'tandem'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite } from 'tandem/stores/sqlite'
import type { Bench } from '../harness/suite.ts'
import { seedOutbox } from './seed.ts'
import { freeBroker, stopwatch } from '../harness/stopwatch-broker.ts'

export const relay: Bench = {
  name: 'relay',
  title: 'publishing to a broker that costs nothing: what reading and clearing the outbox allows',
  run: async ({ folder, slice }) => {
    const messages = slice ? 20_000 : 200_000
    await seedOutbox(folder, 'order', messages)
    const { broker, seconds } = stopwatch(freeBroker(), messages)
    const store = sqlite(nodeSqlite(join(folder, 'order.db')))
    const tandem = createTandem({ service: 'order', store, broker })
    await tandem.start()
    const rate = messages / (await seconds)
    await tandem.stop()
    return [{ name: 'published', value: rate, unit: 'messages/s' }]
  },
}
