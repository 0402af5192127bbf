import createKnex, { type Knex } from 'knex'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { knex } from '../../src/drivers/knex.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { hasMariadb } from '../support/mariadb.ts'
import { mariadbConformance } from './driver-fixture.ts'

interface Connected {
  readonly db: Knex
  end(): Promise<unknown>
}

/** With what users set. */
const connect = (address: MariadbAddress): Connected => {
  const db = createKnex({
    client: 'mysql2',
    connection: { ...address },
    pool: { min: 0, max: 5 },
    postProcessResponse: () => 'processed',
    wrapIdentifier: (name) => name.toUpperCase(),
  })
  return { db, end: () => db.destroy() }
}

describe.skipIf(!hasMariadb)('knex over mysql2', () => {
  const options = { name: 'knex over mysql2', connect, driver: ({ db }: Connected) => knex(db) }
  register(driverConformance(mariadbConformance(options, 'tcp')), { describe, it })
})
