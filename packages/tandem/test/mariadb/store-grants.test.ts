// The store as a user that has the documented grants and nothing else.
import { readFileSync } from 'node:fs'
import mysql2 from 'mysql2/promise'
import { describe, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { mysql2 as driverOn } from '../../src/drivers/mysql2.ts'
import { mysql } from '../../src/stores/mysql/index.ts'
import { AWAY_PREFIX, makeFixture, storeDatabases } from './store-fixture.ts'

const page = readFileSync(new URL('../../../../docs/reference/mysql.md', import.meta.url), 'utf8')
const grants = /^GRANT SELECT ON tandem_schema_version[\s\S]*?^```$/m.exec(page)?.[0].replace('```', '') ?? ''

const databases = await storeDatabases()

if (databases !== undefined) {
  const { control, home, away } = databases
  // For this file alone: users are the server's.
  const user = `u_${home.database}`
  const migrate = async (tablePrefix: string, address = home): Promise<void> => {
    const pool = mysql2.createPool({ ...address, connectionLimit: 1, multipleStatements: true })
    await mysql(driverOn(pool), { tablePrefix, migrate: true }).open({ service: 'test' })
    await pool.query(grants.replaceAll('tandem_', tablePrefix).replaceAll('order_service', `'${user}'@'%'`))
    if (address === home) await pool.query(`GRANT SELECT ON clock_of_${tablePrefix} TO '${user}'@'%'`)
    await pool.end()
  }
  await control.run(`CREATE USER '${user}'@'%'`)
  await migrate(AWAY_PREFIX, away)

  const cases = storeConformance({
    name: 'mysql as a user with few rights',
    capabilities: { concurrentTransactions: true, shards: 16 },
    siblings: true,
    make: () =>
      makeFixture(
        databases,
        (address) => {
          const pool = mysql2.createPool({ ...address, user, connectionLimit: 5 })
          return { driver: driverOn(pool), end: () => pool.end() }
        },
        migrate,
      ),
  })
  // The other cases ask for no other rights.
  const random = /seed|\bpages\b/
  register(
    cases.filter(({ name }) => !random.test(name)),
    { describe, it },
  )
} else describe.skip('mysql as a user with few rights', () => it('needs MariaDB', () => undefined))
