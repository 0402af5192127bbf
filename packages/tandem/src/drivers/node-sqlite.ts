/**
 * SQLite through Node's own `node:sqlite`.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Driver, OpenContext, SqlValue } from '../spi/driver.ts'
import type { SqliteBinding, SqliteStatement } from './sqlite-binding.ts'
import { SqliteDriver, type SqliteDriverOptions } from './sqlite-driver.ts'

export type NodeSqliteOptions = SqliteDriverOptions

/** A database, the name of its file (`:memory:` for none), or a function that is called once, when the driver opens, and returns either. */
export type NodeSqliteSource = DatabaseSync | string | ((context: OpenContext) => DatabaseSync | string)

/** A statement of a transaction. */
export interface NodeSqliteStatement {
  run(...params: SqlValue[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
  run(
    named: Record<string, SqlValue>,
    ...params: SqlValue[]
  ): {
    readonly changes: number | bigint
    readonly lastInsertRowid: number | bigint
  }
  get(...params: SqlValue[]): Record<string, SqlValue> | undefined
  get(named: Record<string, SqlValue>, ...params: SqlValue[]): Record<string, SqlValue> | undefined
  all(...params: SqlValue[]): Record<string, SqlValue>[]
  all(named: Record<string, SqlValue>, ...params: SqlValue[]): Record<string, SqlValue>[]
  iterate(...params: SqlValue[]): Iterable<Record<string, SqlValue>>
  iterate(named: Record<string, SqlValue>, ...params: SqlValue[]): Iterable<Record<string, SqlValue>>
}

/**
 * An open transaction. A handler gets one that refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always. A
 * `DatabaseSync` on the same file on which the user has run `BEGIN` is one as well.
 */
export interface NodeSqliteTransaction {
  prepare(sql: string): NodeSqliteStatement
  exec(sql: string): void
  /** Whether the transaction is still open. */
  readonly isTransaction: boolean
}

/**
 * Runs Tandem on a SQLite database of `node:sqlite`.
 *
 * The driver writes through one connection, one transaction at a time, and reads through a second one that it opens itself. A database
 * that is handed in becomes the writer, so that functions and extensions of the user are there; Tandem sets on it, and on one that it
 * opens, `journal_mode = WAL` (readers go on while somebody writes), at least `synchronous = FULL` (a commit that was reported is on the
 * disk) and `busy_timeout = 0` (SQLite's own waiting stops the event loop; Tandem waits without). On a database that Tandem opens by name
 * foreign keys are enforced, as is the default of `node:sqlite`.
 *
 * A database that is handed in is never closed by Tandem; one that the function makes is, by `close()`. While a transaction of Tandem is
 * open on a database that was handed in, whatever else the user runs on it belongs to that transaction: give Tandem a connection of its
 * own, or a file name, where that can happen.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function nodeSqlite(source: NodeSqliteSource, options?: NodeSqliteOptions): Driver<NodeSqliteTransaction> {
  return new SqliteDriver<DatabaseSync, NodeSqliteTransaction>(binding, source, options)
}

const binding: SqliteBinding<DatabaseSync> = {
  name: 'node-sqlite',
  isDatabase: (candidate): candidate is DatabaseSync => {
    if (typeof candidate !== 'object' || candidate === null) return false
    const { prepare, exec, location } = candidate as Partial<DatabaseSync>
    return typeof prepare === 'function' && typeof exec === 'function' && typeof location === 'function'
  },
  isOpen: (db) => db.isOpen,
  inTransaction: (db) => db.isTransaction,
  file: (db) => db.location() ?? undefined,
  connect: async (file) => {
    // Not at the top: Node 22 prints a warning, which is not for those who use another driver.
    const sqlite = await import('node:sqlite')
    return new sqlite.DatabaseSync(file)
  },
  connectLike: (db, file, options) => new (db.constructor as typeof DatabaseSync)(file, options),
  plain: (statement) => {
    const { setReadBigInts, setReturnArrays } = statement as Partial<StatementSync> & {
      setReturnArrays?: (on: boolean) => void
    }
    setReadBigInts?.call(statement, false)
    setReturnArrays?.call(statement, false)
  },
  returnsRows: (statement: SqliteStatement) => (statement as StatementSync).columns().length > 0,
}
