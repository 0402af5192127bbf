// The store on drizzle, and on Kysely, whose rows come as the user's settings make them.
import { drizzle as connect } from 'drizzle-orm/node-postgres'
import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { describe, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { drizzle } from '../../src/drivers/drizzle.ts'
import { kysely } from '../../src/drivers/kysely.ts'
import { makeFixture, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

if (databases !== undefined) {
  const shared = { capabilities: { concurrentTransactions: true, shards: 16 }, siblings: true }
  register(
    storeConformance({
      ...shared,
      name: 'postgres on drizzle',
      make: () =>
        makeFixture(databases, (address) => {
          const pool = new pg.Pool({ ...address, max: 5 })
          return { driver: drizzle(connect({ client: pool, casing: 'snake_case' })), end: () => pool.end() }
        }),
    }),
    { describe, it },
  )
  register(
    storeConformance({
      ...shared,
      name: 'postgres on kysely',
      make: () =>
        makeFixture(databases, (address) => {
          const getTypeParser = ((oid: number, format?: 'text'): unknown =>
            oid === pg.types.builtins.INT8
              ? BigInt
              : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser
          const pool = new pg.Pool({ ...address, max: 5, types: { getTypeParser } })
          const db = new Kysely({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] })
          return { driver: kysely(db), end: () => db.destroy() }
        }),
    }),
    { describe, it },
  )
} else describe.skip('postgres on drizzle', () => it('needs PostgreSQL', () => undefined))
