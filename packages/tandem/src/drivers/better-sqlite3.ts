/**
 * SQLite through the package `better-sqlite3`.
 *
 * @module
 */
import type { Driver, OpenContext, SqlValue } from '../spi/driver.ts'
import { betterSqlite3Binding, type BetterSqlite3Database } from './sqlite-better-sqlite3.ts'
import { SqliteDriver, type SqliteDriverOptions } from './sqlite-driver.ts'

export type { BetterSqlite3Database } from './sqlite-better-sqlite3.ts'

export type BetterSqlite3Options = SqliteDriverOptions

/** A database, or a function that is called once, when the driver opens, and makes one. */
export type BetterSqlite3Source = BetterSqlite3Database | ((context: OpenContext) => BetterSqlite3Database)

type Parameter = SqlValue | Readonly<Record<string, SqlValue>>

/** A statement of a transaction. */
export interface BetterSqlite3Statement {
  run(...params: Parameter[]): { readonly changes: number; readonly lastInsertRowid: number | bigint }
  get(...params: Parameter[]): unknown
  all(...params: Parameter[]): unknown[]
  iterate(...params: Parameter[]): IterableIterator<unknown>
}

/**
 * An open transaction. A handler gets one that refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always. A
 * `Database` on the same file on which the user has run `BEGIN` is one as well.
 */
export interface BetterSqlite3Transaction {
  prepare(sql: string): BetterSqlite3Statement
  exec(sql: string): unknown
  /** Whether the transaction is still open. */
  readonly inTransaction: boolean
}

/**
 * Runs Tandem on a SQLite database of better-sqlite3.
 *
 * The database becomes the connection that Tandem writes with, one transaction at a time; Tandem reads through a second one that it opens
 * itself. What it sets on the database and why, and what follows for other users of the same connection, is said at `nodeSqlite`. A database
 * that is handed in is never closed by Tandem; one that the function makes is, by `close()`.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function betterSqlite3(
  source: BetterSqlite3Source,
  options?: BetterSqlite3Options,
): Driver<BetterSqlite3Transaction> {
  return new SqliteDriver<BetterSqlite3Database, BetterSqlite3Transaction>(betterSqlite3Binding, source, options)
}
