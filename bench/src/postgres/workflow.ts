import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite as sqliteBroker } from 'tandem/brokers/sqlite'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import type { Bench } from '../harness/suite.ts'
import { EventCounter } from './counter.ts'
import {
  createTables,
  insertOrder,
  inTransaction,
  OrderPlaced,
  orderOf,
  placeOrder,
  takeFromStock,
  tandemOn,
  type Order,
} from './orders.ts'
import { CLIENTS, POOL_SIZE, poolOf, withDatabases } from './server.ts'

const QUEUE = 'orders'
const TRANSACTION_SIZE = 64
const silent = { info: nothing, debug: nothing, warn: nothing, error: console.error }

export const workflow: Bench = {
  name: 'workflow',
  title: `order placed, stock row written, ${CLIENTS} clients, one process and one database: Tandem over its SQLite broker, DBOS queue with one step`,
  run: ({ slice, folder, database }) =>
    withDatabases(database, ['shop', 'shop_dbos'], async (shop, dbosShop) => {
      await createTables(shop, dbosShop)
      const pool = poolOf(shop.url)
      const broker = () => sqliteBroker(nodeSqlite(join(folder, 'broker.db')))
      const tandem = tandemOn('shop', pool, broker())
      tandem.consume(OrderPlaced, (order, { tx }) => takeFromStock(tx, order), {
        transactionSize: TRANSACTION_SIZE,
        concurrency: 2,
      })
      const handled = new EventCounter(tandem, 'message.handled')
      await tandem.start()

      const dbosPool = poolOf(dbosShop.url)
      let written = 0
      let reached: { readonly count: number; readonly resolve: () => void } | undefined
      const takeWorkflow = DBOS.registerWorkflow(
        async (order: Order) => {
          await DBOS.runStep(() => takeFromStock(dbosPool, order), { name: 'take' })
          written += 1
          if (written === reached?.count) reached.resolve()
        },
        { name: 'take' },
      )
      void takeWorkflow
      DBOS.setConfig({
        name: 'shop',
        systemDatabaseUrl: dbosShop.url,
        systemDatabasePoolSize: POOL_SIZE,
        logger: silent,
        applicationVersion: '1',
        executorID: randomUUID(),
      })
      await DBOS.launch()
      // No limits, and the shortest interval that pays: a second is the default (docs: queues, `minPollingIntervalMs`).
      await DBOS.registerQueue(QUEUE, { minPollingIntervalMs: 10 })
      const client = await DBOSClient.create({
        systemDatabaseUrl: dbosShop.url,
        applicationName: 'shop',
        logger: silent,
      })

      const [rounds, count, queued] = slice ? [1, 200, 50] : [5, 2000, 300]
      let number = 0
      const rates = await compared(rounds, {
        tandem: async () => {
          const goal = handled.count + count
          const from = performance.now()
          await rateOf(CLIENTS, count, () => placeOrder(tandem, orderOf(number++)))
          await handled.reached(goal)
          return (count / (performance.now() - from)) * 1000
        },
        dbos: async () => {
          const done = Promise.withResolvers<void>()
          reached = { count: written + queued, resolve: done.resolve }
          const from = performance.now()
          await rateOf(CLIENTS, queued, () =>
            inTransaction(dbosPool, async (pgClient) => {
              const placed = orderOf(number++)
              await insertOrder(pgClient, placed)
              // In the order's transaction (docs: client, `enqueueInTransaction`).
              await client.enqueueInTransaction(
                pgClient,
                { queueName: QUEUE, workflowName: 'take', appVersion: '1' },
                placed,
              )
            }),
          )
          await done.promise
          return (queued / (performance.now() - from)) * 1000
        },
      })
      await tandem.stop()
      await client.destroy()
      await DBOS.shutdown()
      await Promise.all([pool.end(), dbosPool.end()])
      return [
        { name: 'Tandem', value: rates.rate('tandem'), unit: 'orders/s' },
        { name: 'DBOS', value: rates.rate('dbos'), unit: 'orders/s' },
        { name: 'ratio', value: rates.ratio('tandem', 'dbos'), unit: '', reach: { atLeast: 5 } },
      ]
    }),
}

function nothing(): void {
  // Its lines are not for whoever reads a table.
}
