// The store in databases whose transactions are stricter than READ COMMITTED by default. The transactions that are the user's (those of
// `store.transaction`) fail on conflicts there and are run again, as the engine does with handlers; the store's own never show it.
import pg from 'pg'
import { describe, it } from 'vitest'
import { register, storeConformance, type StoreFixture } from '../../src/conformance/index.ts'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import type { Store } from '../../src/spi/store.ts'
import { makeFixture, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

function patient<Tx>(store: Store<Tx>): Store<Tx> {
  return {
    ...store,
    transaction: async (work, options) => {
      for (;;) {
        try {
          return await store.transaction(work, options)
        } catch (error) {
          if (store.classify(error) !== 'conflict') throw error
        }
      }
    },
  }
}

if (databases !== undefined) {
  const make = async (level: string): Promise<StoreFixture<unknown>> => {
    const fixture = await makeFixture(databases, (address) => {
      const options = `-c default_transaction_isolation=${level.replace(' ', '\\ ')}`
      const pool = new pg.Pool({ ...address, max: 5, options })
      return { driver: pgDriver(pool), end: () => pool.end() }
    })
    return { ...fixture, store: patient(fixture.store), sibling: patient(fixture.sibling!) }
  }
  const runs = [
    ['repeatable read', /inbox|retries/],
    ['serializable', /outbox|held|half|inbox|retries/],
  ] as const
  for (const [level, areas] of runs) {
    const capabilities = { concurrentTransactions: true, shards: 16 }
    const cases = storeConformance({ name: level, capabilities, siblings: true, make: () => make(level) })
    register(
      cases.filter(({ area }) => areas.test(area)),
      { describe, it },
    )
  }
} else describe.skip('isolation levels', () => it('needs PostgreSQL', () => undefined))
