import { paired } from '../harness/paired.ts'
import type { Bench } from '../harness/suite.ts'
import { createTables, storeOn } from './orders.ts'
import { seedInbox, seedOutbox } from './outgoing.ts'
import { Rates } from './rates.ts'
import { withDatabases } from './server.ts'

export const backlog: Bench = {
  name: 'backlog',
  title:
    'sending, publishing and handling with a million messages in the outbox and a million in the inbox, against none',
  run: ({ slice, database }) =>
    withDatabases(database, ['empty', 'full'], async (emptyDatabase, fullDatabase) => {
      const size = slice ? 20_000 : 1_000_000
      const [pairs, sends, drains, handles] = slice ? [1, 200, 5000, 200] : [7, 1500, 20_000, 1500]
      await createTables(emptyDatabase, fullDatabase)
      const [empty, full] = [new Rates(emptyDatabase, size), new Rates(fullDatabase, size)]
      const store = storeOn(full.pool)
      await store.open({ service: 'order' })
      await seedOutbox(store, size)
      await seedInbox(store, 'stock', size)

      const sending = await paired(
        pairs,
        () => empty.send(sends),
        () => full.send(sends),
      )
      await empty.clear()
      const draining = await paired(
        pairs,
        () => empty.drain(drains, true),
        () => full.drain(drains, false),
      )
      const handling = await paired(
        pairs,
        () => empty.handle(handles),
        () => full.handle(handles),
      )
      await Promise.all([empty.close(), full.close()])
      return [
        { name: 'sends, nothing waiting', value: sending.base, unit: 'orders/s' },
        { name: 'sends with the backlog', value: sending.other, unit: 'orders/s' },
        { name: 'sends: ratio', value: sending.ratio, unit: '', reach: { atLeast: 0.85 } },
        { name: 'published, nothing else waiting', value: draining.base, unit: 'messages/s' },
        { name: 'published from the backlog', value: draining.other, unit: 'messages/s' },
        { name: 'published: ratio', value: draining.ratio, unit: '', reach: { atLeast: 0.85 } },
        { name: 'handled, inbox empty', value: handling.base, unit: 'messages/s' },
        { name: 'handled with the backlog', value: handling.other, unit: 'messages/s' },
        { name: 'handled: ratio', value: handling.ratio, unit: '', reach: { atLeast: 0.85 } },
      ]
    }),
}
