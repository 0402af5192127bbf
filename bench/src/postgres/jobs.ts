import { makeWorkerUtils } from 'graphile-worker'
import { PgBoss } from 'pg-boss'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import { freeBroker } from '../harness/stopwatch-broker.ts'
import type { Bench } from '../harness/suite.ts'
import { createTables, insertOrder, inTransaction, orderOf, placeOrder, tandemOn, type Order } from './orders.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'
import type pg from 'pg'

const QUEUE = 'orders'

export const jobs: Bench = {
  name: 'jobs',
  title: `a transaction that writes an order and its message, ${CLIENTS} clients: Tandem, pg-boss send, Graphile Worker add_job`,
  run: ({ slice, database }) =>
    withDatabases(database, ['order'], async (order) => {
      await createTables(order)
      const pool = poolOf(order.url)
      const tandem = tandemOn('order', pool, freeBroker())
      await tandem.open()
      // Without its clean-up and its schedules while it is measured, as in a process that only sends (docs: constructor, `supervise`).
      const boss = new PgBoss({ connectionString: order.url, max: 2, supervise: false, schedule: false })
      boss.on('error', console.error)
      await boss.start()
      await boss.createQueue(QUEUE)
      const utils = await makeWorkerUtils({ connectionString: order.url })
      await utils.migrate()

      let number = 0
      const [rounds, count] = slice ? [1, 200] : [9, 1000]
      const placing = (tell: (client: pg.PoolClient, placed: Order) => Promise<unknown>) => () =>
        rateOf(CLIENTS, count, () =>
          inTransaction(pool, async (client) => {
            const placed = orderOf(number++)
            await insertOrder(client, placed)
            await tell(client, placed)
          }),
        )
      const rates = await compared(rounds, {
        bare: placing(() => Promise.resolve()),
        tandem: () => rateOf(CLIENTS, count, () => placeOrder(tandem, orderOf(number++))),
        // In the user's transaction by the `db` option (docs: jobs, `send`).
        boss: placing((client, placed) => {
          const db = { executeSql: (text: string, values?: unknown[]) => client.query(text, values) }
          return boss.send(QUEUE, placed, { db })
        }),
        // In the user's transaction by the SQL function (docs: "Adding jobs through SQL").
        graphile: placing((client, placed) =>
          client.query({
            name: 'add_job',
            text: 'SELECT graphile_worker.add_job($1, $2)',
            values: [QUEUE, placed],
          }),
        ),
      })
      await tandem.stop()
      await boss.stop({ graceful: false })
      await utils.release()
      await pool.end()
      return [
        { name: 'the order alone', value: rates.rate('bare'), unit: '1/s' },
        { name: 'with Tandem', value: rates.rate('tandem'), unit: '1/s' },
        { name: 'with pg-boss', value: rates.rate('boss'), unit: '1/s' },
        { name: 'with Graphile Worker', value: rates.rate('graphile'), unit: '1/s' },
        { name: 'pg-boss / the order alone', value: rates.ratio('boss', 'bare'), unit: '' },
        { name: 'Graphile Worker / the order alone', value: rates.ratio('graphile', 'bare'), unit: '' },
        { name: 'Tandem / pg-boss', value: rates.ratio('tandem', 'boss'), unit: '', reach: { atLeast: 3 } },
        { name: 'Tandem / Graphile Worker', value: rates.ratio('tandem', 'graphile'), unit: '', reach: { atLeast: 3 } },
      ]
    }),
}
