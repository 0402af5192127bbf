/**
 * A store that lives and ends with the process, for tests and first steps.
 *
 * @module
 */
import { nodeSqlite, type NodeSqliteTransaction } from '../../drivers/node-sqlite.ts'
import type { Store } from '../../spi/store.ts'
import { sqlite, type SqliteOptions } from '../sqlite/index.ts'

export type MemoryOptions = Omit<SqliteOptions, 'migrate'>

/**
 * The SQLite store on a database in memory: what holds for it holds for the one on a file, but nothing outlives the process and there is
 * one connection, so that a read waits until no transaction is open.
 */
export function memory(options: MemoryOptions = {}): Store<NodeSqliteTransaction> {
  return sqlite(nodeSqlite(':memory:'), { ...options, migrate: true })
}
