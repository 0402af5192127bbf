import { drizzle as overPg, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { drizzle as overPostgresJs, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { drizzle } from '../../src/drivers/drizzle.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { hasPostgres } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'

interface Connected<Db> {
  readonly db: Db
  end(): Promise<unknown>
}

const connectPg = (address: PostgresAddress): Connected<NodePgDatabase> => {
  const pool = new Pool({ ...address, max: 5 })
  return { db: overPg({ client: pool, casing: 'snake_case' }), end: () => pool.end() }
}

const connectPostgresJs = (address: PostgresAddress): Connected<PostgresJsDatabase> => {
  const sql = postgres({ ...address, max: 5, onnotice: () => undefined })
  return { db: overPostgresJs({ client: sql, casing: 'snake_case' }), end: () => sql.end() }
}

describe.skipIf(!hasPostgres)('drizzle', () => {
  const onPg = {
    name: 'drizzle over pg',
    connect: connectPg,
    driver: ({ db }: Connected<NodePgDatabase>) => drizzle(db),
  }
  register(driverConformance(postgresConformance(onPg, 'tcp')), { describe, it })
  const onPostgresJs = {
    name: 'drizzle over postgres.js',
    connect: connectPostgresJs,
    driver: ({ db }: Connected<PostgresJsDatabase>) => drizzle(db),
  }
  register(driverConformance(postgresConformance(onPostgresJs, 'socket')), { describe, it })
})
