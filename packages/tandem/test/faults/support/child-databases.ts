import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createPool, type PoolConnection } from 'mysql2/promise'
import { Pool, type PoolClient } from 'pg'
import { mysql2 } from '../../../src/drivers/mysql2.ts'
import { nodeSqlite, type NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import { pg } from '../../../src/drivers/pg.ts'
import type { Store } from '../../../src/spi/index.ts'
import { mysql } from '../../../src/stores/mysql/index.ts'
import { postgres } from '../../../src/stores/postgres/index.ts'
import { sqlite } from '../../../src/stores/sqlite/index.ts'
import type { SqlRow, SqlValue } from './blocking-sql.ts'
import { inDialect, TABLES } from './dialects.ts'
import type { ServerSettings, ServiceName, Settings } from './protocol.ts'

/** The database of a service, as the service's own code uses it: through its own library. */
export interface ChildDatabase<Tx> {
  readonly store: Store<Tx>
  /** Runs a statement, written as for SQLite, in a transaction of the library. */
  run(tx: Tx, sql: string, ...params: SqlValue[]): Promise<readonly SqlRow[]>
  /** Makes the tables of the service's own business, where the world has not. */
  makeTables(tx: Tx): Promise<void>
  /** Lifts the limit on the size. */
  makeRoom(): void
  /** Closes what the service has opened itself, as it does when Tandem has stopped. */
  end(): Promise<void>
}

/** The user's part of a service: makes the connections that Tandem is handed. */
export function childDatabase(service: ServiceName, settings: Settings): ChildDatabase<object> {
  const { database } = settings
  switch (database.kind) {
    case 'sqlite':
      return sqliteDatabase(service, settings)
    case 'postgres':
      return postgresDatabase(database, settings)
    case 'mariadb':
      return mariadbDatabase(database, settings)
  }
}

function sqliteDatabase(service: ServiceName, settings: Settings): ChildDatabase<NodeSqliteTransaction> {
  const { folder, lockTimeout, maxPages, migrate } = settings
  const limited = limitedFile(join(folder, `${service}.db`), maxPages?.store)
  const driver = nodeSqlite(limited.source, lockTimeout === undefined ? {} : { lockTimeout })
  return {
    store: sqlite(driver, { migrate }),
    run: async (tx, sql, ...params) => tx.prepare(sql).all(...params) as SqlRow[],
    makeTables: async (tx) => tx.exec(inDialect('sqlite', TABLES[service])),
    makeRoom: limited.makeRoom,
    end: async () => undefined,
  }
}

function postgresDatabase(
  { address, session = {}, pool: options = {} }: ServerSettings,
  { lockTimeout, migrate }: Settings,
): ChildDatabase<PoolClient> {
  const wanted = { ...(lockTimeout === undefined ? {} : { lock_timeout: lockTimeout }), ...session }
  const pool = new Pool({
    ...address,
    application_name: `child ${process.pid}`,
    options: Object.entries(wanted)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
    ...options,
  })
  return {
    store: postgres(pg(pool), { migrate }),
    run: async (tx, sql, ...params) => (await tx.query<SqlRow>(inDialect('postgres', sql), params)).rows,
    makeTables: async () => undefined,
    makeRoom: () => undefined,
    end: () => pool.end(),
  }
}

function mariadbDatabase(
  { address, session = {}, pool: options = {} }: ServerSettings,
  { lockTimeout, migrate }: Settings,
): ChildDatabase<PoolConnection> {
  const wanted = {
    ...(lockTimeout === undefined ? {} : { innodb_lock_wait_timeout: Math.max(1, Math.round(lockTimeout / 1000)) }),
    ...session,
  }
  const set = Object.entries(wanted).map(([name, value]) => `${name} = ${value}`)
  const pool = createPool({ ...address, connectionLimit: options.max ?? 10 })
  // Before anything else on the connection.
  if (set.length > 0) pool.on('connection', (connection) => void connection.query(`SET ${set.join(', ')}`))
  return {
    store: mysql(mysql2(pool), { migrate }),
    run: async (tx, sql, ...params) => {
      const [rows] = await tx.query(inDialect('mariadb', sql), params)
      return Array.isArray(rows) ? (rows as SqlRow[]) : []
    },
    makeTables: async () => undefined,
    makeRoom: () => undefined,
    end: () => pool.end(),
  }
}

/** A limit on the size belongs to a connection, so the driver is handed one. */
export function limitedFile(
  file: string,
  pages: number | undefined,
): { readonly source: string | (() => DatabaseSync); readonly makeRoom: () => void } {
  if (pages === undefined) return { source: file, makeRoom: () => undefined }
  const limited: DatabaseSync[] = []
  return {
    source: () => {
      const db = new DatabaseSync(file)
      db.exec(`PRAGMA max_page_count = ${pages}`)
      limited.push(db)
      return db
    },
    makeRoom: () => {
      for (const db of limited) db.exec('PRAGMA max_page_count = 1073741823')
    },
  }
}
