import mysql2 from 'mysql2/promise'
import { describe, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { mysql2 as driver } from '../../src/drivers/mysql2.ts'
import { makeFixture, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

if (databases !== undefined) {
  register(
    storeConformance({
      name: 'mysql on mysql2',
      capabilities: { concurrentTransactions: true, shards: 16 },
      siblings: true,
      make: () =>
        makeFixture(databases, (address) => {
          const pool = mysql2.createPool({ ...address, connectionLimit: 5 })
          return { driver: driver(pool), end: () => pool.end() }
        }),
    }),
    { describe, it },
  )
} else describe.skip('mysql on mysql2', () => it('needs MariaDB', () => undefined))
