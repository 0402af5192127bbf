// The store on postgres.js, as a role that has the documented grants and nothing else.
import { readFileSync } from 'node:fs'
import pg from 'pg'
import postgresjs from 'postgres'
import { describe, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { makeFixture, storeDatabases } from './store-fixture.ts'

const page = readFileSync(new URL('../../../../docs/reference/postgresql.md', import.meta.url), 'utf8')
const grants = /^GRANT USAGE ON SCHEMA tandem[\s\S]*?^```$/m.exec(page)?.[0].replace('```', '') ?? ''

const databases = await storeDatabases()

if (databases !== undefined) {
  const { control, home, away } = databases
  const migrate = async (schema: string): Promise<void> => {
    for (const address of [home, away]) {
      const pool = new pg.Pool({ ...address, max: 1 })
      await postgres(pgDriver(pool), { schema, migrate: true }).open({ service: 'test' })
      await pool.query(grants.replaceAll('tandem', schema).replaceAll('order_service', 'store_service'))
      await pool.end()
    }
  }
  await control.run('DROP ROLE IF EXISTS store_service')
  await control.run('CREATE ROLE store_service LOGIN')

  register(
    storeConformance({
      name: 'postgres on postgres.js',
      capabilities: { concurrentTransactions: true, shards: 16 },
      siblings: true,
      make: () =>
        makeFixture(
          databases,
          (address) => {
            const sql = postgresjs({ ...address, user: 'store_service', max: 5, onnotice: () => undefined })
            return { driver: postgresJs(sql), end: () => sql.end() }
          },
          migrate,
        ),
    }),
    { describe, it },
  )
} else describe.skip('postgres on postgres.js', () => it('needs PostgreSQL', () => undefined))
