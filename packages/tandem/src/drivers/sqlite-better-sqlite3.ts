import type { SqlValue } from '../spi/driver.ts'
import type { SqliteBinding, SqliteStatement } from './sqlite-binding.ts'

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

type Statement = ReturnType<BetterSqlite3Database['prepare']>
type Constructor = new (
  file: string,
  options: { readonly readonly: boolean; readonly fileMustExist: boolean; readonly timeout: number },
) => BetterSqlite3Database

/** better-sqlite3. */
export const betterSqlite3Binding: SqliteBinding<BetterSqlite3Database> = {
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
