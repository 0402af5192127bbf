import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely'
import { Pool, types } from 'pg'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { kysely } from '../../src/drivers/kysely.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { hasPostgres } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'

interface Connected {
  readonly db: Kysely<Record<string, never>>
  end(): Promise<unknown>
}

/** With what users set: another case of names, and large integers as such. */
const connect = (address: PostgresAddress): Connected => {
  const getTypeParser = ((oid: number, format?: 'text'): unknown =>
    oid === types.builtins.INT8 ? BigInt : types.getTypeParser(oid, format)) as typeof types.getTypeParser
  const pool = new Pool({ ...address, max: 5, types: { getTypeParser } })
  const plugins = [new CamelCasePlugin({ underscoreBeforeDigits: true })]
  const db = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }), plugins })
  return { db, end: () => db.destroy() }
}

describe.skipIf(!hasPostgres)('kysely', () => {
  const options = { name: 'kysely', connect, driver: ({ db }: Connected) => kysely(db) }
  register(driverConformance(postgresConformance(options, 'tcp')), { describe, it })
})
