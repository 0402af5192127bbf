import { compared } from '../harness/compared.ts'
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
      const [rounds, sends, drains, handles] = slice ? [1, 200, 5000, 200] : [7, 1500, 20_000, 1500]
      await createTables(emptyDatabase, fullDatabase)
      const [empty, full] = [new Rates(emptyDatabase, size), new Rates(fullDatabase, size)]
      const store = storeOn(full.pool)
      await store.open({ service: 'order' })
      await seedOutbox(store, size)
      await seedInbox(store, 'stock', size)
      // What a server has long done with rows that have been there for a while.
      await fullDatabase.query('VACUUM (ANALYZE) tandem.outbox, tandem.inbox')
      await fullDatabase.query('CHECKPOINT')

      const sending = await compared(rounds, { empty: () => empty.send(sends), full: () => full.send(sends) })
      await empty.clear()
      const draining = await compared(rounds, {
        empty: () => empty.drain(drains, true),
        full: () => full.drain(drains, false),
      })
      const handling = await compared(rounds, { empty: () => empty.handle(handles), full: () => full.handle(handles) })
      await Promise.all([empty.close(), full.close()])
      return [
        { name: 'sends, nothing waiting', value: sending.rate('empty'), unit: 'orders/s' },
        { name: 'sends with the backlog', value: sending.rate('full'), unit: 'orders/s' },
        { name: 'sends: ratio', value: sending.ratio('full', 'empty'), unit: '', reach: { atLeast: 0.85 } },
        { name: 'published, nothing else waiting', value: draining.rate('empty'), unit: 'messages/s' },
        { name: 'published from the backlog', value: draining.rate('full'), unit: 'messages/s' },
        { name: 'published: ratio', value: draining.ratio('full', 'empty'), unit: '', reach: { atLeast: 0.85 } },
        { name: 'handled, inbox empty', value: handling.rate('empty'), unit: 'messages/s' },
        { name: 'handled with the backlog', value: handling.rate('full'), unit: 'messages/s' },
        { name: 'handled: ratio', value: handling.ratio('full', 'empty'), unit: '', reach: { atLeast: 0.85 } },
      ]
    }),
}
