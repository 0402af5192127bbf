import type pg from 'pg'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import type { Figure } from '../harness/figures.ts'
import { freeBroker } from '../harness/stopwatch-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { createTables, insertOrder, inTransaction, OrderPlaced, orderOf, tandemOn } from './orders.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'

export const send: Bench = {
  name: 'send',
  title: 'a transaction of one INSERT that sends, against the same one that does not',
  run: ({ slice, database }) =>
    withDatabases(database, ['order'], async (order) => {
      await createTables(order)
      const pool = poolOf(order.url)
      const tandem = tandemOn('order', pool, freeBroker())
      await tandem.open()
      const [rounds, count] = slice ? [1, 200] : [11, 2000]
      const figures: Figure[] = []
      let number = 0
      for (const clients of [1, CLIENTS]) {
        const placing = (messages: number) => () =>
          rateOf(clients, clients === 1 ? count / 4 : count, () =>
            inTransaction(pool, async (client: pg.PoolClient) => {
              const placed = orderOf(number++)
              await insertOrder(client, placed)
              if (messages > 0)
                await tandem.send(
                  client,
                  Array.from({ length: messages }, () => OrderPlaced(placed)),
                )
            }),
          )
        const rates = await compared(rounds, { bare: placing(0), one: placing(1), five: placing(5) })
        const who = clients === 1 ? 'one client' : `${clients} clients`
        figures.push(
          { name: `${who}: transactions that send nothing`, value: rates.rate('bare'), unit: '1/s' },
          { name: `${who}: with one message`, value: rates.rate('one'), unit: '1/s' },
          { name: `${who}: with five messages`, value: rates.rate('five'), unit: '1/s' },
          { name: `${who}, one message: ratio`, value: rates.ratio('one', 'bare'), unit: '', reach: { atLeast: 0.85 } },
          {
            name: `${who}, five messages: ratio`,
            value: rates.ratio('five', 'bare'),
            unit: '',
            reach: { atLeast: 0.75 },
          },
        )
      }
      await tandem.stop()
      await pool.end()
      return figures
    }),
}
