import postgres from 'postgres'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { hasPostgres } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'

const connectWith =
  (options: postgres.Options<Record<never, never>>) =>
  (address: PostgresAddress): postgres.Sql =>
    postgres({ ...address, max: 5, onnotice: () => undefined, ...options })

describe.skipIf(!hasPostgres)('postgres.js', () => {
  const driver = (sql: postgres.Sql) => postgresJs(sql)
  register(driverConformance(postgresConformance({ name: 'postgres.js', connect: connectWith({}), driver }, 'tcp')), {
    describe,
    it,
  })
  const unprepared = {
    name: 'postgres.js, unprepared, camel',
    connect: connectWith({ prepare: false, transform: postgres.camel }),
    driver,
  }
  register(driverConformance(postgresConformance(unprepared, 'socket')), { describe, it })
})
