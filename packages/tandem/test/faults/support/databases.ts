import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { PostgresAddress } from '../../support/postgres-server.ts'
import { BlockingSql, type SqlRow, type SqlValue } from './blocking-sql.ts'
import { inDialect, TABLES } from './dialects.ts'
import type { DatabaseSettings, ServerKind, ServerSettings, ServiceName } from './protocol.ts'

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

let blocking: BlockingSql | undefined

/** A database for each service, on a server that may be shared. */
export class PostgresDatabases implements ServerDatabase {
  readonly kind = 'postgres'
  readonly #server: PostgresAddress
  readonly #name = `faults_${randomBytes(6).toString('hex')}`
  readonly #sql = (blocking ??= new BlockingSql())

  constructor(server: PostgresAddress) {
    this.#server = server
    for (const service of ['order', 'stock'] as const) {
      this.ask(`CREATE DATABASE ${this.address(service).database}`)
      this.execute(service, inDialect('postgres', TABLES[service]))
    }
  }

  /** Of a service's database, past any proxy. */
  address(service: ServiceName): PostgresAddress {
    return { ...this.#server, database: `${this.#name}_${service}` }
  }

  settings(service: ServiceName, port = this.#server.port): ServerSettings {
    return { kind: 'postgres', address: { ...this.address(service), port } }
  }

  rows(service: ServiceName, sql: string, params: readonly SqlValue[]): readonly SqlRow[] {
    try {
      return this.#sql.query(this.address(service), inDialect('postgres', sql), params)
    } catch (error) {
      // undefined_table
      if ((error as { code?: string }).code === '42P01') return []
      throw error
    }
  }

  execute(service: ServiceName, sql: string): readonly SqlRow[] {
    return this.#sql.query(this.address(service), sql)
  }

  /** As `execute`, in no service's database. */
  ask(sql: string): readonly SqlRow[] {
    return this.#sql.query(this.#server, sql)
  }

  isHeldBy(pid: number): boolean {
    return this.sessions(`application_name = 'child ${pid}' AND state <> 'idle'`) > 0
  }

  sessions(condition = 'true'): number {
    const [row] = this.ask(`SELECT count(*) AS n FROM pg_stat_activity
      WHERE datname LIKE '${this.#name}%' AND application_name <> 'books' AND ${condition}`)
    return Number(row?.['n'])
  }

  drop(): void {
    for (const service of ['order', 'stock'] as const) {
      this.ask(`DROP DATABASE IF EXISTS ${this.address(service).database} WITH (FORCE)`)
    }
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
