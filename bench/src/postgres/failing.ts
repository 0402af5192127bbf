import type pg from 'pg'
import { rateOf } from '../harness/clients.ts'
import { compared } from '../harness/compared.ts'
import type { Figure } from '../harness/figures.ts'
import type { Bench } from '../harness/suite.ts'
import { createTables, inTransaction, orderOf, takeFromStock, type Order } from './orders.ts'
import { CLIENTS, poolOf, withDatabases } from './server.ts'

const TRANSACTION_SIZE = 64

export const failing: Bench = {
  name: 'failing',
  title: 'raw SQL, 64 effects a transaction of which some fail: each behind a savepoint, or run again one by one',
  run: ({ slice, database }) =>
    withDatabases(database, ['stock'], async (stock) => {
      await createTables(stock)
      const pool = poolOf(stock.url)
      const [rounds, batches] = slice ? [1, 10] : [5, 60]
      const figures: Figure[] = []
      for (const every of [Number.POSITIVE_INFINITY, 1000, 100]) {
        let number = 0
        const next = () =>
          Array.from({ length: TRANSACTION_SIZE }, () => orderOf(number++)).toSorted((a, b) => (a.sku < b.sku ? -1 : 1))
        const effect = async (client: pg.PoolClient, order: Order): Promise<void> => {
          await takeFromStock(client, order)
          if (Number(order.orderId.slice(6)) % every === every - 1) throw new Error('this one fails')
        }
        const rate = async (act: (orders: readonly Order[]) => Promise<void>): Promise<number> =>
          (await rateOf(CLIENTS, batches, () => act(next()))) * TRANSACTION_SIZE
        const rates = await compared(rounds, {
          savepoints: () => rate((orders) => bySavepoints(pool, orders, effect)),
          again: () => rate((orders) => orAgain(pool, orders, effect)),
        })
        const what = every === Number.POSITIVE_INFINITY ? 'none fails' : `one in ${every} fails`
        figures.push(
          { name: `${what}: savepoints`, value: rates.rate('savepoints'), unit: 'messages/s' },
          { name: `${what}: run again one by one`, value: rates.rate('again'), unit: 'messages/s' },
          { name: `${what}: run again / savepoints`, value: rates.ratio('again', 'savepoints'), unit: '' },
        )
      }
      await pool.end()
      return figures
    }),
}

type Effect = (client: pg.PoolClient, order: Order) => Promise<void>

async function bySavepoints(pool: pg.Pool, orders: readonly Order[], effect: Effect): Promise<void> {
  await inTransaction(pool, async (client) => {
    for (const order of orders) {
      await client.query('SAVEPOINT message')
      try {
        await effect(client, order)
        await client.query('RELEASE SAVEPOINT message')
      } catch {
        await client.query('ROLLBACK TO SAVEPOINT message')
      }
    }
  })
}

async function orAgain(pool: pg.Pool, orders: readonly Order[], effect: Effect): Promise<void> {
  try {
    await inTransaction(pool, async (client) => {
      for (const order of orders) await effect(client, order)
    })
  } catch {
    for (const order of orders) await inTransaction(pool, (client) => effect(client, order)).catch(() => undefined)
  }
}
