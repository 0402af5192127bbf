import createKnex, { type Knex } from 'knex'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { knex } from '../../src/drivers/knex.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { hasPostgres } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'

interface Connected {
  readonly db: Knex
  end(): Promise<unknown>
}

/** With what users set. */
const connect = (address: PostgresAddress): Connected => {
  const db = createKnex({
    client: 'pg',
    connection: { ...address },
    pool: { min: 0, max: 5 },
    postProcessResponse: () => 'processed',
    wrapIdentifier: (name) => name.toUpperCase(),
  })
  return { db, end: () => db.destroy() }
}

describe.skipIf(!hasPostgres)('knex', () => {
  const options = { name: 'knex', connect, driver: ({ db }: Connected) => knex(db) }
  register(driverConformance(postgresConformance(options, 'tcp')), { describe, it })
})
