import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BlockingSql, type SqlRow, type SqlValue } from './blocking-sql.ts'
import { inDialect, TABLES } from './dialects.ts'
import type { DatabaseSettings, ServerAddress, ServerKind, ServerSettings, ServiceName } from './protocol.ts'

/** What the services of a world keep their tables in. */
export interface WorldDatabase {
  readonly kind: DatabaseSettings['kind']
  /** By what a process of this service reaches its own. */
  settings(service: ServiceName): DatabaseSettings
  /** Rows of a statement that is written as for SQLite; none if the tables are not there yet. */
  rows(service: ServiceName, sql: string, params: readonly SqlValue[]): readonly SqlRow[]
  /** Whether a process that stands still may keep others from their work, by a transaction that it has open. */
  isHeldBy(pid: number): boolean
  drop(): void
}

/** One on a server, with a connection for each statement or many. */
export interface ServerDatabase extends WorldDatabase {
  readonly kind: ServerKind
  /** @param port of what stands before the server. Default: the server's own */
  settings(service: ServiceName, port?: number): ServerSettings
  /** Runs statements in the words of the server, as its superuser. */
  execute(service: ServiceName, sql: string): readonly SqlRow[]
  /** How many connections the processes of this world have. */
  sessions(): number
}

/** A file for each service, in the world's folder. The processes make the tables. */
export class SqliteFiles implements WorldDatabase {
  readonly kind = 'sqlite'
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  settings(): DatabaseSettings {
    return { kind: 'sqlite' }
  }

  rows(service: ServiceName, sql: string, params: readonly SqlValue[]): readonly SqlRow[] {
    return rowsOfFile(this.#path(service), sql, params)
  }

  /** SQLite has one lock for a file, whoever has it. */
  isHeldBy(): boolean {
    return (['order', 'stock'] as const).some((service) => isLocked(this.#path(service)))
  }

  drop(): void {
    // They go with the folder.
  }

  #path(service: ServiceName): string {
    return join(this.#folder, `${service}.db`)
  }
}

/** What differs between the servers. */
interface ServerDialect {
  /** The code of: there is no such table. */
  readonly noTable: string
  readonly drop: (database: string) => string
  /** Gives `n`: how many connections processes have to databases whose names are LIKE this. */
  readonly sessions: (like: string) => string
  /** Gives the `id`s of transactions that are open in such databases, and may be the process's. */
  readonly open: (like: string, pid: number) => string
}

const SERVERS: Readonly<Record<ServerKind, ServerDialect>> = {
  postgres: {
    noTable: '42P01',
    drop: (database) => `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`,
    sessions: (like) => `SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname LIKE '${like}' AND application_name <> 'books'`,
    open: (like, pid) => `SELECT pid AS id FROM pg_stat_activity
      WHERE datname LIKE '${like}' AND application_name = 'child ${pid}' AND state <> 'idle'`,
  },
  mariadb: {
    noTable: 'ER_NO_SUCH_TABLE',
    drop: (database) => `DROP DATABASE IF EXISTS ${database}`,
    sessions: (like) =>
      `SELECT count(*) AS n FROM information_schema.processlist WHERE db LIKE '${like}' AND user = 'service'`,
    // It does not say whose they are. Those that only read hold nothing, and get the same number again and again.
    open: (like) => `SELECT t.trx_id AS id FROM information_schema.innodb_trx t
      JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
      WHERE p.db LIKE '${like}' AND (t.trx_rows_locked > 0 OR t.trx_rows_modified > 0)`,
  },
}

const blocking = new Map<ServerKind, BlockingSql>()

function blockingSql(kind: ServerKind): BlockingSql {
  const known = blocking.get(kind) ?? new BlockingSql(kind)
  blocking.set(kind, known)
  return known
}

/** A database for each service, on a server that may be shared. */
export class ServerDatabases implements ServerDatabase {
  readonly kind: ServerKind
  readonly #server: ServerAddress
  readonly #name = `faults_${randomBytes(6).toString('hex')}`
  readonly #sql: BlockingSql

  /** @param server as its superuser */
  constructor(kind: ServerKind, server: ServerAddress) {
    this.kind = kind
    this.#server = server
    this.#sql = blockingSql(kind)
    if (kind === 'mariadb') this.#ask("CREATE USER IF NOT EXISTS 'service'@'127.0.0.1'")
    for (const service of ['order', 'stock'] as const) {
      const { database } = this.#address(service)
      this.#ask(`CREATE DATABASE ${database}`)
      if (kind === 'mariadb') this.#ask(`GRANT ALL PRIVILEGES ON ${database}.* TO 'service'@'127.0.0.1'`)
      this.execute(service, inDialect(kind, TABLES[service]))
    }
  }

  settings(service: ServiceName, port = this.#server.port): ServerSettings {
    const { kind } = this
    const address = { ...this.#address(service), port }
    // MariaDB's superuser may do what nobody else may: write while the server is read-only.
    return { kind, address: kind === 'mariadb' ? { ...address, user: 'service' } : address }
  }

  rows(service: ServiceName, sql: string, params: readonly SqlValue[]): readonly SqlRow[] {
    try {
      return this.#sql.query(this.#address(service), inDialect(this.kind, sql), params)
    } catch (error) {
      if ((error as { code?: string }).code === SERVERS[this.kind].noTable) return []
      throw error
    }
  }

  execute(service: ServiceName, sql: string): readonly SqlRow[] {
    return this.#sql.query(this.#address(service), sql)
  }

  isHeldBy(pid: number): boolean {
    const { open } = SERVERS[this.kind]
    const ids = (): readonly unknown[] => this.#ask(open(`${this.#name}%`, pid)).map(({ id }) => id)
    const before = ids()
    if (before.length === 0) return false
    // Of those who go on, none lasts that long.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    return ids().some((id) => before.includes(id))
  }

  sessions(): number {
    return Number(this.#ask(SERVERS[this.kind].sessions(`${this.#name}%`))[0]?.['n'])
  }

  drop(): void {
    for (const service of ['order', 'stock'] as const)
      this.#ask(SERVERS[this.kind].drop(this.#address(service).database))
  }

  /** Of a service's database, past any proxy. */
  #address(service: ServiceName): ServerAddress {
    return { ...this.#server, database: `${this.#name}_${service}` }
  }

  #ask(sql: string): readonly SqlRow[] {
    return this.#sql.query(this.#server, sql)
  }
}

/** Rows of a SQLite file; none if it or its tables are not there yet. */
export function rowsOfFile(path: string, sql: string, params: readonly SqlValue[]): readonly SqlRow[] {
  if (!existsSync(path)) return []
  const db = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
  try {
    return db.prepare(sql).all(...params) as SqlRow[]
  } catch (error) {
    if ((error as Error).message.includes('no such table')) return []
    throw error
  } finally {
    db.close()
  }
}

export function isLocked(path: string): boolean {
  if (!existsSync(path)) return false
  const db = new DatabaseSync(path, { timeout: 1000 })
  try {
    db.exec('BEGIN IMMEDIATE; ROLLBACK')
    return false
  } catch {
    return true
  } finally {
    db.close()
  }
}
