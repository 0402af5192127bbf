import pg from 'pg'
import { afterAll } from 'vitest'
import type { StoreFixture } from '../../src/conformance/store-kit.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { createDatabase, hasPostgres, type TestDatabase } from '../support/postgres.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'

/** A driver on connections of its own, and what closes them. */
export interface OwnDriver<Tx> {
  readonly driver: Driver<Tx>
  end(): Promise<void>
}

/** Runs statements behind the stores' backs. */
export interface Control {
  run(sql: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>
}

export interface StoreDatabases {
  readonly control: Control
  readonly home: PostgresAddress
  readonly away: PostgresAddress
}

/** Two empty databases for a test file, removed at its end. */
export async function storeDatabases(): Promise<StoreDatabases | undefined> {
  if (!hasPostgres) return undefined
  const databases: TestDatabase[] = [await createDatabase(), await createDatabase()]
  const pool = new pg.Pool({ ...databases[0]!.socket, max: 3 })
  pool.on('error', () => undefined)
  afterAll(async () => {
    await pool.end()
    for (const database of databases) await database.drop()
  })
  const run: Control['run'] = async (sql, params = []) =>
    (await pool.query<Record<string, unknown>>(sql, [...params])).rows
  return { control: { run }, home: databases[0]!.socket, away: databases[1]!.socket }
}

let count = 0

/** A name for a schema that no other case uses. */
export function nextSchema(): string {
  return `case_${++count}`
}

/** Makes a clock in a schema that goes on when the test says so; returns the expression that reads it. */
export async function makeClock({ run }: Control, schema: string): Promise<string> {
  await run(`CREATE SCHEMA ${schema}_clock`)
  await run(`CREATE TABLE ${schema}_clock.clock AS SELECT date_trunc('milliseconds', clock_timestamp()) AS now`)
  await run(`GRANT USAGE ON SCHEMA ${schema}_clock TO PUBLIC`)
  await run(`GRANT SELECT ON ${schema}_clock.clock TO PUBLIC`)
  return `(SELECT now FROM ${schema}_clock.clock)`
}

/**
 * Stores on a schema of their own in one database, each with its own connections, and one on another database.
 *
 * @param driverOn makes a driver; for the stores on the schema after `prepare`
 */
export async function makeFixture<Tx>(
  { control, home, away }: StoreDatabases,
  driverOn: (address: PostgresAddress) => OwnDriver<Tx>,
  prepare?: (schema: string) => Promise<void>,
): Promise<StoreFixture<Tx>> {
  const schema = nextSchema()
  const clock = await makeClock(control, schema)
  await prepare?.(schema)
  const [first, second, third] = [driverOn(home), driverOn(home), driverOn(away)]
  return {
    store: postgres(first.driver, { schema, clock }),
    sibling: postgres(second.driver, { schema, clock }),
    stranger: postgres(third.driver, { schema }),
    advance: async (ms) => {
      await control.run(`UPDATE ${schema}_clock.clock SET now = now + $1::float8 * interval '1 millisecond'`, [ms])
    },
    dispose: async () => {
      await Promise.all([first.end(), second.end(), third.end()])
      await control.run(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
      await control.run(`DROP SCHEMA ${schema}_clock CASCADE`)
    },
  }
}
