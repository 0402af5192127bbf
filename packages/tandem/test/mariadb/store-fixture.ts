import mysql2 from 'mysql2/promise'
import { afterAll } from 'vitest'
import type { StoreFixture } from '../../src/conformance/store-kit.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { mysql } from '../../src/stores/mysql/index.ts'
import { createMariadb, hasMariadb, type TestMariadb } from '../support/mariadb.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'

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
  readonly home: MariadbAddress
  readonly away: MariadbAddress
}

/** Two empty databases for a test file, removed at its end. */
export async function storeDatabases(): Promise<StoreDatabases | undefined> {
  if (!hasMariadb) return undefined
  const databases: TestMariadb[] = [await createMariadb(), await createMariadb()]
  const pool = mysql2.createPool({ ...databases[0]!.socket, connectionLimit: 3, multipleStatements: true })
  afterAll(async () => {
    await pool.end()
    for (const database of databases) await database.drop()
  })
  const run: Control['run'] = async (sql, params = []) => {
    const [rows] = await pool.query(sql, [...params])
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
  }
  return { control: { run }, home: databases[0]!.socket, away: databases[1]!.socket }
}

/** Of the store on the other database. Its tables are made once for a test file: no case writes into them. */
export const AWAY_PREFIX = 'away_'

let count = 0

/** A table prefix that no other case uses. */
export function nextPrefix(): string {
  return `case${++count}_`
}

/**
 * Makes a clock that goes on when the test says so; returns the expression that reads it. Its table knows no transactions: a statement that
 * reads it keeps nobody from moving it.
 */
export async function makeClock({ run }: Control, prefix: string): Promise<string> {
  await run(`CREATE TABLE clock_of_${prefix} (now DATETIME(3) NOT NULL) ENGINE = MEMORY`)
  await run(`INSERT INTO clock_of_${prefix} VALUES (utc_timestamp(3))`)
  return `(SELECT now FROM clock_of_${prefix})`
}

export async function moveClock({ run }: Control, prefix: string, ms: number): Promise<void> {
  await run(`UPDATE clock_of_${prefix} SET now = now + INTERVAL ? * 1000 MICROSECOND`, [Math.round(ms)])
}

/** Removes the tables of a prefix. */
export async function dropTables({ run }: Control, prefix: string): Promise<void> {
  const tables = await run(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = database() AND LEFT(table_name, ?) = ?`,
    [prefix.length, prefix],
  )
  const names = [...tables.map(({ name }) => `\`${String(name)}\``), `clock_of_${prefix}`]
  await run(`DROP TABLE IF EXISTS ${names.join(', ')}`)
}

/**
 * Stores on a prefix of their own in one database, each with its own connections, and one on another database.
 *
 * @param driverOn makes a driver; for the stores on the prefix after `prepare`
 */
export async function makeFixture<Tx>(
  { control, home, away }: StoreDatabases,
  driverOn: (address: MariadbAddress) => OwnDriver<Tx>,
  prepare?: (tablePrefix: string) => Promise<void>,
): Promise<StoreFixture<Tx>> {
  const tablePrefix = nextPrefix()
  const clock = await makeClock(control, tablePrefix)
  await prepare?.(tablePrefix)
  const [first, second, third] = [driverOn(home), driverOn(home), driverOn(away)]
  return {
    store: mysql(first.driver, { tablePrefix, clock }),
    sibling: mysql(second.driver, { tablePrefix, clock }),
    stranger: mysql(third.driver, { tablePrefix: AWAY_PREFIX }),
    advance: (ms) => moveClock(control, tablePrefix, ms),
    dispose: async () => {
      await Promise.all([first.end(), second.end(), third.end()])
      await dropTables(control, tablePrefix)
    },
  }
}
