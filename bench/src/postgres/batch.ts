import { join } from 'node:path'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite as sqliteBroker } from 'tandem/brokers/sqlite'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import { feedingBroker } from '../harness/feeding-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { BossWorkers } from './boss.ts'
import { EventCounter } from './counter.ts'
import { GraphileWorkers } from './graphile.ts'
import { checkStock, createTables, OrderPlaced, orderOf, takeFromStock, tandemOn } from './orders.ts'
import { incoming, outgoing } from './outgoing.ts'
import { createRawInbox, handleRawTogether } from './raw.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'

const TRANSACTION_SIZE = 64

export const batch: Bench = {
  name: 'batch',
  title:
    'effect-once handling, 64 messages a transaction, from the SQLite broker and from one that costs nothing: raw SQL, pg-boss, Graphile Worker',
  run: ({ slice, folder, database }) =>
    withDatabases(database, ['stock'], async (stock) => {
      await createTables(stock)
      const pool = poolOf(stock.url)
      const { broker, feed } = feedingBroker()
      const free = tandemOn('stock', pool, broker)
      const options = { transactionSize: TRANSACTION_SIZE, concurrency: CLIENTS }
      free.consume(OrderPlaced, (order, { tx }) => takeFromStock(tx, order), options)
      await free.start()
      await createRawInbox(stock)
      const boss = new BossWorkers(stock.url)
      await boss.start()
      const graphile = new GraphileWorkers(stock.url)
      await graphile.start()

      const rounds = slice ? 1 : 7
      // A second or two of each.
      const scale = slice ? 1 : 10
      const [count, jobs, tasks] = [640 * scale, 320 * scale, 160 * scale]
      let number = 0
      const orders = (length: number) => Array.from({ length }, () => orderOf(number++))
      const messages = () => Array.from({ length: count }, () => outgoing(number++))
      const rates = await compared(rounds, {
        raw: async () => {
          const first = number
          const all = messages().map((message, i) => ({ order: orderOf(first + i), message: incoming(message) }))
          const batches = Array.from({ length: count / TRANSACTION_SIZE }, (_, i) =>
            all.slice(i * TRANSACTION_SIZE, (i + 1) * TRANSACTION_SIZE),
          )
          const rate = await rateOf(CLIENTS, batches.length, (turn) => handleRawTogether(pool, batches[turn] ?? []))
          return rate * TRANSACTION_SIZE
        },
        free: async () => count / (await feed(messages())),
        sqlite: async (round) => {
          const file = join(folder, `broker-${round}.db`)
          const filled = sqliteBroker(nodeSqlite(file))
          const stockService = tandemOn('stock', pool, filled)
          stockService.consume(OrderPlaced, (order, { tx }) => takeFromStock(tx, order), options)
          const handled = new EventCounter(stockService, 'message.handled')
          await stockService.open()
          await filled.ensure({
            topics: [OrderPlaced.topic],
            groups: [{ group: 'stock', topics: [OrderPlaced.topic] }],
          })
          await filled.publish(messages(), { signal: new AbortController().signal })
          await stockService.start()
          // The workers of the others are started, too, when their time begins.
          const [from, before] = [performance.now(), handled.count]
          await handled.reached(count)
          const rate = ((count - before) / (performance.now() - from)) * 1000
          await stockService.stop()
          return rate
        },
        boss: () => boss.work(orders(jobs)),
        graphile: () => graphile.work(orders(tasks)),
      })
      await checkStock(stock, number)
      await free.stop()
      await boss.stop()
      await graphile.stop()
      await pool.end()
      return [
        { name: 'raw SQL', value: rates.rate('raw'), unit: 'messages/s' },
        { name: 'Tandem, broker that costs nothing', value: rates.rate('free'), unit: 'messages/s' },
        { name: 'Tandem, SQLite broker', value: rates.rate('sqlite'), unit: 'messages/s' },
        { name: 'pg-boss, transactional, batches of 100', value: rates.rate('boss'), unit: 'jobs/s' },
        { name: 'Graphile Worker, local queue, at least once', value: rates.rate('graphile'), unit: 'jobs/s' },
        { name: 'Tandem / raw SQL', value: rates.ratio('free', 'raw'), unit: '', reach: { atLeast: 0.6 } },
        {
          name: 'Tandem with the SQLite broker / pg-boss',
          value: rates.ratio('sqlite', 'boss'),
          unit: '',
          reach: { atLeast: 2 },
        },
        {
          name: 'Tandem with the SQLite broker / Graphile Worker',
          value: rates.ratio('sqlite', 'graphile'),
          unit: '',
          reach: { atLeast: 2 },
        },
      ]
    }),
}
