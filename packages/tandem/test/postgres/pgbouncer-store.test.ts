// The store behind a PgBouncer in transaction mode: each transaction, and each statement outside of one, may get another connection.
import pg from 'pg'
import postgresjs from 'postgres'
import { afterAll, describe, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import { hasPgBouncer, PgBouncer } from '../support/pgbouncer.ts'
import { makeFixture, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

if (databases !== undefined && hasPgBouncer()) {
  const bouncer = await PgBouncer.start(databases.home, { poolSize: 2 })
  afterAll(() => bouncer.dispose())
  const suite = {
    capabilities: { concurrentTransactions: true, shards: 16 },
    siblings: true,
  }
  const cases = [
    ...storeConformance({
      ...suite,
      name: 'postgres on pg behind PgBouncer',
      make: () =>
        makeFixture(databases, (address) => {
          const pool = new pg.Pool({ ...bouncer.address(address), max: 5 })
          return { driver: pgDriver(pool), end: () => pool.end() }
        }),
    }),
    ...storeConformance({
      ...suite,
      name: 'postgres on postgres.js behind PgBouncer',
      make: () =>
        makeFixture(databases, (address) => {
          const sql = postgresjs({ ...bouncer.address(address), max: 5, prepare: false, onnotice: () => undefined })
          return { driver: postgresJs(sql), end: () => sql.end() }
        }),
    }),
  ]
  register(cases, { describe, it })
} else describe.skip('the store behind PgBouncer', () => it('needs PostgreSQL and PgBouncer', () => undefined))
