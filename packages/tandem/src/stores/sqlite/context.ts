import { TandemError } from '../../core/errors.ts'
import type { Driver, QueryResult, Row, SqlValue } from '../../spi/driver.ts'

const TABLE_NAMES = [
  'schema_version',
  'outbox',
  'outbox_held',
  'half',
  'barrier',
  'inbox',
  'inbox_failure',
  'inbox_attempt',
  'lease',
  'process',
  'audit',
] as const

type Tables = Readonly<Record<(typeof TABLE_NAMES)[number], string>>

/** The prefix under which the numbered SQL files name the tables. */
export const FILE_PREFIX = 'tandem_'

/** SQLite's clock in milliseconds. `subsec` needs SQLite 3.42. */
export const SQLITE_CLOCK = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

/** What every area of the store works with. */
export interface SqliteContext<Tx> {
  readonly driver: Driver<Tx>
  readonly prefix: string
  readonly tables: Tables
  /** SQL expression: milliseconds since the epoch, by the database's clock. */
  readonly now: string
  /** Reads what is committed. */
  read(sql: string, params: readonly SqlValue[]): Promise<readonly Row[]>
  /** Reads or writes in a transaction. */
  run(tx: Tx, sql: string, params: readonly SqlValue[]): Promise<QueryResult>
}

export function createContext<Tx>(driver: Driver<Tx>, prefix: string, now: string): SqliteContext<Tx> {
  // It becomes part of statements, where nothing can be bound.
  if (!/^(?!sqlite_)[a-z][a-z0-9_]{0,30}_$/.test(prefix)) {
    throw new TandemError(
      'CONFIG_INVALID',
      `sqlite: tablePrefix ${JSON.stringify(prefix)} must be a-z, 0-9 and "_", begin with a letter, end with "_", and not be SQLite's own "sqlite_"`,
    )
  }
  return {
    driver,
    prefix,
    tables: Object.fromEntries(TABLE_NAMES.map((name) => [name, prefix + name])) as Tables,
    now,
    read: async (sql, params) => (await driver.query(sql, params)).rows,
    run: (tx, sql, params) => driver.query(sql, params, tx),
  }
}

/** `(?, ?), (?, ?)` for a multi-row INSERT. */
export function rowsOf(row: string, count: number): string {
  return Array<string>(count).fill(row).join(', ')
}
