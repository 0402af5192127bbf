import type pg from 'pg'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import type { Figure } from '../harness/figures.ts'
import { freeBroker } from '../harness/stopwatch-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { bookOrder, createTables, inTransaction, OrderPlaced, orderOf, tandemOn, type Order } from './orders.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'

export const send: Bench = {
  name: 'send',
  title: 'a transaction that reads an account, writes an order and books it, with messages and without',
  run: ({ slice, database }) =>
    withDatabases(database, ['order'], async (order) => {
      await createTables(order)
      const pool = poolOf(order.url)
      const tandem = tandemOn('order', pool, freeBroker())
      await tandem.open()
      const [rounds, count] = slice ? [1, 200] : [11, 1000]
      const figures: Figure[] = []
      let number = 0
      for (const clients of [1, CLIENTS]) {
        const run = (act: (placed: Order) => Promise<void>) => () =>
          rateOf(clients, clients === 1 ? count / 4 : count, () => act(orderOf(number++)))
        const bySelf = (messages: number) =>
          run((placed) =>
            inTransaction(pool, async (client: pg.PoolClient) => {
              await bookOrder(client, placed)
              if (messages > 0) await tandem.send(client, draftsOf(placed, messages))
            }),
          )
        const byTandem = (messages: number) =>
          run((placed) =>
            tandem.transaction(async (tx) => {
              await bookOrder(tx, placed)
              await tandem.send(tx, draftsOf(placed, messages))
            }),
          )
        const rates = await compared(rounds, {
          bare: bySelf(0),
          'one, own transaction': bySelf(1),
          'five, own transaction': bySelf(5),
          'one, tandem.transaction': byTandem(1),
          'five, tandem.transaction': byTandem(5),
        })
        const who = clients === 1 ? 'one client' : `${clients} clients`
        figures.push({ name: `${who}: transactions that send nothing`, value: rates.rate('bare'), unit: '1/s' })
        for (const how of ['own transaction', 'tandem.transaction'] as const) {
          figures.push(
            {
              name: `${who}, one message, ${how}`,
              value: rates.ratio(`one, ${how}`, 'bare'),
              unit: '',
              reach: { atLeast: 0.85 },
            },
            {
              name: `${who}, five messages, ${how}`,
              value: rates.ratio(`five, ${how}`, 'bare'),
              unit: '',
              reach: { atLeast: 0.75 },
            },
          )
        }
      }
      await tandem.stop()
      await pool.end()
      return figures
    }),
}

function draftsOf(order: Order, messages: number) {
  return Array.from({ length: messages }, () => OrderPlaced(order))
}
