/**
 * SQLite through the package `better-sqlite3`.
 *
 * @module
 */
import type { Driver, OpenContext, SqlValue } from '../spi/driver.ts'
import type { SqliteBinding, SqliteStatement } from './sqlite-binding.ts'
import { SqliteDriver, type SqliteDriverOptions } from './sqlite-driver.ts'

export type BetterSqlite3Options = SqliteDriverOptions

/** What the driver uses of a `Database` of better-sqlite3. */
export interface BetterSqlite3Database {
  prepare(sql: string): {
    readonly reader: boolean
    run(...params: SqlValue[]): { readonly changes: number; readonly lastInsertRowid: number | bigint }
    get(...params: SqlValue[]): unknown
    all(...params: SqlValue[]): unknown[]
    iterate(...params: SqlValue[]): IterableIterator<unknown>
    raw(on: boolean): unknown
    safeIntegers(on: boolean): unknown
  }
  exec(sql: string): unknown
  close(): unknown
  readonly open: boolean
  readonly inTransaction: boolean
  readonly name: string
  readonly memory: boolean
}

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
  return new SqliteDriver<BetterSqlite3Database, BetterSqlite3Transaction>(binding, source, options)
}

type Statement = ReturnType<BetterSqlite3Database['prepare']>
type Constructor = new (
  file: string,
  options: { readonly readonly: boolean; readonly fileMustExist: boolean; readonly timeout: number },
) => BetterSqlite3Database

const binding: SqliteBinding<BetterSqlite3Database> = {
  name: 'better-sqlite3',
  isDatabase: (candidate): candidate is BetterSqlite3Database => {
    if (typeof candidate !== 'object' || candidate === null) return false
    const { prepare, exec, open, inTransaction, memory } = candidate as Partial<BetterSqlite3Database>
    const flags = [open, inTransaction, memory]
    return (
      typeof prepare === 'function' && typeof exec === 'function' && flags.every((flag) => typeof flag === 'boolean')
    )
  },
  isOpen: (db) => db.open,
  inTransaction: (db) => db.inTransaction,
  file: (db) => {
    if (db.memory) return undefined
    // `name` is what the user wrote: it may be relative to a directory that is not the current one any more.
    const [main] = db.prepare('PRAGMA database_list').all() as { readonly file: string }[]
    return main?.file === '' ? undefined : main?.file
  },
  connect: undefined,
  connectLike: (db, file, { readOnly }) => {
    const Database = db.constructor as Constructor
    return new Database(file, { readonly: readOnly, fileMustExist: true, timeout: 0 })
  },
  plain: (statement: SqliteStatement) => {
    const { raw, safeIntegers } = statement as Statement
    raw.call(statement, false)
    safeIntegers.call(statement, false)
  },
  returnsRows: (statement: SqliteStatement) => (statement as Statement).reader,
}
