import mysql2 from 'mysql2/promise'
import { afterAll } from 'vitest'
import { leaseShards, RELAY } from '../../src/conformance/store-kit.ts'
import { mysql2 as driverOn, type Mysql2Transaction } from '../../src/drivers/mysql2.ts'
import type { ShardFence, Store } from '../../src/spi/store.ts'
import { mysql } from '../../src/stores/mysql/index.ts'
import { spyOn, type Spy } from '../unit/stores/spy-driver.ts'
import { makeClock, moveClock, nextPrefix, type StoreDatabases } from './store-fixture.ts'

export type Tx = Mysql2Transaction<mysql2.Pool>

/** A store on a prefix of its own, whose statements are noted, and what happens around it. */
export interface Bench {
  readonly prefix: string
  readonly store: Store<Tx>
  readonly spy: Spy<Tx>
  readonly fences: readonly ShardFence[]
  /** Another process on the same tables. */
  another(): Promise<Store<Tx>>
  advance(ms: number): Promise<void>
  /** A connection outside of all stores, closed with the test file. */
  client(): Promise<mysql2.PoolConnection>
  /** Resolves when a statement on these tables waits for a lock of a row. */
  someoneWaits(): Promise<void>
  run: StoreDatabases['control']['run']
}

/** Makes benches for one test file, with sessions that are set up by `session`. */
export function benches({ control, home }: StoreDatabases, session?: string): () => Promise<Bench> {
  const pools: mysql2.Pool[] = []
  const pool = (): mysql2.Pool => {
    const made = mysql2.createPool({ ...home, connectionLimit: 10 })
    if (session !== undefined) made.on('connection', (connection) => void connection.query(session))
    pools.push(made)
    return made
  }
  afterAll(() => Promise.all(pools.map((one) => one.end())))

  return async () => {
    const prefix = nextPrefix()
    const clock = await makeClock(control, prefix)
    const shared = pool()
    const spy = spyOn(driverOn(shared))
    const store = mysql(spy.driver, { tablePrefix: prefix, clock, migrate: true })
    await store.open({ service: 'test' })
    return {
      prefix,
      store,
      spy,
      fences: await leaseShards(store, RELAY, 1e9),
      another: async () => {
        const sibling = mysql(driverOn(pool()), { tablePrefix: prefix, clock })
        await sibling.open({ service: 'test' })
        return sibling
      },
      advance: (ms) => moveClock(control, prefix, ms),
      client: () => shared.getConnection(),
      someoneWaits: async () => {
        // Unlike information_schema.innodb_trx it is of this moment, whoever else looks.
        const isWaiting = (transaction: string): boolean =>
          transaction.includes('LOCK WAIT') && transaction.includes(`\`${prefix}`)
        for (;;) {
          const [row] = await control.run('SHOW ENGINE INNODB STATUS')
          if (String(row?.['Status']).split('---TRANSACTION').some(isWaiting)) return
        }
      },
      run: control.run,
    }
  }
}
