import { drizzle as connect, type MySql2Database } from 'drizzle-orm/mysql2'
import callbacks from 'mysql2'
import promises from 'mysql2/promise'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { drizzle } from '../../src/drivers/drizzle.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { hasMariadb } from '../support/mariadb.ts'
import { mariadbConformance } from './driver-fixture.ts'

interface Connected {
  readonly db: MySql2Database
  end(): Promise<unknown>
}

const withPromises = (address: MariadbAddress): Connected => {
  const pool = promises.createPool({ ...address, connectionLimit: 5 })
  return { db: connect({ client: pool, casing: 'snake_case' }), end: () => pool.end() }
}

const withCallbacks = (address: MariadbAddress): Connected => {
  const pool = callbacks.createPool({ ...address, connectionLimit: 5 })
  return { db: connect({ client: pool, casing: 'snake_case' }), end: () => pool.promise().end() }
}

describe.skipIf(!hasMariadb)('drizzle over mysql2', () => {
  const driver = ({ db }: Connected) => drizzle(db)
  const onPromises = { name: 'drizzle over mysql2', connect: withPromises, driver }
  register(driverConformance(mariadbConformance(onPromises, 'tcp')), { describe, it })
  const onCallbacks = { name: 'drizzle over mysql2, callbacks', connect: withCallbacks, driver }
  register(driverConformance(mariadbConformance(onCallbacks, 'socket')), { describe, it })
})
