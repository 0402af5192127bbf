import type { SqlValue } from '../spi/driver.ts'

/** A prepared statement, as far as the libraries agree on it. */
export interface SqliteStatement {
  run(...params: SqlValue[]): { readonly changes: number | bigint }
  all(...params: SqlValue[]): unknown[]
  get(...params: SqlValue[]): unknown
  iterate(...params: SqlValue[]): Iterator<unknown>
}

/** A connection, as far as the libraries agree on it. */
export interface SqliteDatabase {
  prepare(sql: string): SqliteStatement
  exec(sql: string): unknown
  close(): unknown
}

/** What differs between the libraries. One per library; knows nothing of transactions, turns or errors. */
export interface SqliteBinding<Db extends SqliteDatabase> {
  /** The driver's name. */
  readonly name: string
  /** Whether it has the shape of this library's connection. Never throws. */
  isDatabase(candidate: unknown): candidate is Db
  isOpen(db: Db): boolean
  inTransaction(db: Db): boolean
  /** The absolute path of the main database file; undefined when it has none (in memory, temporary). */
  file(db: Db): string | undefined
  /** Opens a file by name, with a busy timeout of zero. Undefined where that needs a package that is not handed in. */
  readonly connect: ((file: string) => Promise<Db>) | undefined
  /** Opens a further connection with the class of the first, with a busy timeout of zero. */
  connectLike(db: Db, file: string, options: { readonly readOnly: boolean }): Db
  /** Makes a statement return rows as objects with plain numbers, whatever the connection's defaults are. */
  plain(statement: SqliteStatement): void
  returnsRows(statement: SqliteStatement): boolean
}
