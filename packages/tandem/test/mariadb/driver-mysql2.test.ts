import callbacks from 'mysql2'
import promises from 'mysql2/promise'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { mysql2 } from '../../src/drivers/mysql2.ts'
import { hasMariadb } from '../support/mariadb.ts'
import { mariadbConformance } from './driver-fixture.ts'

describe.skipIf(!hasMariadb)('mysql2', () => {
  const plain = {
    name: 'mysql2',
    connect: (address: object) => promises.createPool({ ...address, connectionLimit: 5 }),
    driver: (pool: promises.Pool) => mysql2(pool),
  }
  register(driverConformance(mariadbConformance(plain, 'tcp')), { describe, it })

  const withCallbacks = {
    name: 'mysql2, callbacks',
    connect: (address: object) => callbacks.createPool({ ...address, connectionLimit: 5 }),
    driver: (pool: callbacks.Pool) => mysql2(pool),
    end: (pool: callbacks.Pool) => pool.promise().end(),
  }
  register(driverConformance(mariadbConformance(withCallbacks, 'socket')), { describe, it })
})
