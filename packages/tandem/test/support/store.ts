import { DatabaseSync } from 'node:sqlite'
import { nodeSqlite, type NodeSqliteTransaction } from '../../src/drivers/node-sqlite.ts'
import type { Store } from '../../src/spi/store.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

export type Tx = NodeSqliteTransaction
export type TestStore = Store<Tx>

export interface TestDatabase {
  /** The database in memory, for looking into it; never while a transaction is open. */
  readonly db: DatabaseSync
  /** Whoever plays a process on this database shares this one store: it serialises their transactions as a file would. */
  readonly store: TestStore
}

/** A database in memory whose clock is `now`. */
export async function testDatabase(now: () => number): Promise<TestDatabase> {
  const db = new DatabaseSync(':memory:')
  db.function('test_now', { deterministic: false }, () => Math.floor(now()))
  const store = sqlite(nodeSqlite(db), { migrate: true, clock: 'test_now()' })
  await store.open({ service: 'test' })
  return { db, store }
}

/** What one statement returns. */
export function rows<T = Record<string, unknown>>(db: DatabaseSync, sql: string, ...params: string[]): T[] {
  return db.prepare(sql).all(...params) as T[]
}
