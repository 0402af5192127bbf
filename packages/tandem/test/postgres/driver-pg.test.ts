import { Pool } from 'pg'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { pg } from '../../src/drivers/pg.ts'
import { hasPostgres } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'

const connect = (address: object): Pool => new Pool({ ...address, max: 5 })

describe.skipIf(!hasPostgres)('pg', () => {
  const plain = { name: 'pg', connect, driver: (pool: Pool) => pg(pool) }
  register(driverConformance(postgresConformance(plain, 'tcp')), { describe, it })
  const prepared = { name: 'pg, prepared', connect, driver: (pool: Pool) => pg(pool, { prepare: true }) }
  register(driverConformance(postgresConformance(prepared, 'socket')), { describe, it })
  const pipelining = {
    name: 'pg, pipelining',
    connect: (address: object): Pool => new Pool({ ...address, max: 5, pipeline: true }),
    driver: (pool: Pool) => pg(pool),
    pipelining: true,
  }
  register(driverConformance(postgresConformance(pipelining, 'socket')), { describe, it })
})
