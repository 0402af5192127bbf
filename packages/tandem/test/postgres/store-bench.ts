import pg from 'pg'
import { afterAll } from 'vitest'
import { leaseShards, RELAY } from '../../src/conformance/store-kit.ts'
import { pg as pgDriver, type PgTransaction } from '../../src/drivers/pg.ts'
import type { ShardFence, Store } from '../../src/spi/store.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { spyOn, type Spy } from '../unit/stores/spy-driver.ts'
import { makeClock, nextSchema, type StoreDatabases } from './store-fixture.ts'

export type Tx = PgTransaction<pg.Pool>

/** A store on a schema of its own, whose statements are noted, and what happens around it. */
export interface Bench {
  readonly schema: string
  readonly store: Store<Tx>
  readonly spy: Spy<Tx>
  readonly fences: readonly ShardFence[]
  /** Another process on the same tables. */
  another(): Promise<Store<Tx>>
  advance(ms: number): Promise<void>
  /** A connection outside of all stores. */
  client(): Promise<pg.PoolClient>
  /** Resolves when a statement of this schema waits for a lock. */
  someoneWaits(): Promise<void>
  run: StoreDatabases['control']['run']
}

/** Makes benches for one test file. */
export function benches({ control, home }: StoreDatabases): () => Promise<Bench> {
  const pools: pg.Pool[] = []
  const pool = (): pg.Pool => {
    const made = new pg.Pool({ ...home, max: 10 })
    made.on('error', () => undefined)
    pools.push(made)
    return made
  }
  afterAll(() => Promise.all(pools.map((one) => one.end())))

  return async () => {
    const schema = nextSchema()
    const clock = await makeClock(control, schema)
    const shared = pool()
    const spy = spyOn(pgDriver(shared))
    const store = postgres(spy.driver, { schema, clock, migrate: true })
    await store.open({ service: 'test' })
    return {
      schema,
      store,
      spy,
      fences: await leaseShards(store, RELAY, 1e9),
      another: async () => {
        const sibling = postgres(pgDriver(pool()), { schema, clock })
        await sibling.open({ service: 'test' })
        return sibling
      },
      advance: async (ms) => {
        await control.run(`UPDATE ${schema}_clock.clock SET now = now + $1::float8 * interval '1 millisecond'`, [ms])
      },
      client: () => shared.connect(),
      someoneWaits: async () => {
        const sql = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ ('\\m' || $1 || '\\M')`
        while ((await control.run(sql, [schema])).length === 0);
      },
      run: control.run,
    }
  }
}
