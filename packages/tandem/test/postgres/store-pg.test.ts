import pg from 'pg'
import { describe, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import { makeFixture, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

if (databases !== undefined) {
  register(
    storeConformance({
      name: 'postgres on pg',
      capabilities: { concurrentTransactions: true, shards: 16 },
      siblings: true,
      make: () =>
        makeFixture(databases, (address) => {
          const pool = new pg.Pool({ ...address, max: 5 })
          return { driver: pgDriver(pool), end: () => pool.end() }
        }),
    }),
    { describe, it },
  )
} else describe.skip('postgres on pg', () => it('needs PostgreSQL', () => undefined))
