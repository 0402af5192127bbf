import type { Dialect, QueryResult, Row, SqlValue } from '../spi/driver.ts'
import { KyselyGuard, type KyselyPlugin } from './kysely-guard.ts'
import type { Guard } from './postgres-transaction.ts'

/** An instance of Kysely, as far as the driver uses it. */
export interface KyselyDatabase {
  transaction(): { execute(work: never): Promise<unknown> }
  connection(): { execute(work: never): Promise<unknown> }
  executeQuery(query: never): Promise<unknown>
  withoutPlugins(): KyselyDatabase
  withPlugin(plugin: never): KyselyDatabase
  getExecutor(): { readonly adapter: object }
  readonly isTransaction: boolean
}

/** The same for those who know what goes in. */
export interface Kysely {
  transaction(): Execution
  connection(): Execution
  executeQuery(query: CompiledQuery): Promise<KyselyResult>
  withoutPlugins(): Kysely
  withPlugin(plugin: KyselyPlugin): Kysely
  getExecutor(): KyselyExecutor
  readonly isTransaction: boolean
}

interface Execution {
  execute<T>(work: (db: Kysely) => Promise<T>): Promise<T>
}

interface KyselyExecutor {
  readonly adapter: KyselyAdapter
  readonly plugins: readonly object[]
  stream(query: CompiledQuery, size: number): unknown
}

/** What Kysely says of a dialect. */
interface KyselyAdapter {
  readonly supportsReturning?: boolean
  readonly supportsTransactionalDdl?: boolean
  readonly supportsOutput?: boolean
  readonly supportsMultipleConnections?: boolean
}

interface KyselyResult {
  readonly rows: readonly Row[]
  readonly numAffectedRows?: bigint
}

/** What `CompiledQuery.raw` makes. */
interface CompiledQuery {
  readonly sql: string
  readonly parameters: readonly unknown[]
  readonly query: {
    readonly kind: 'RawNode'
    readonly sqlFragments: readonly string[]
    readonly parameters: readonly never[]
  }
  readonly queryId: { readonly queryId: string }
}

export function isKysely(candidate: unknown): candidate is Kysely {
  const { getExecutor, withoutPlugins, executeQuery } = (candidate ?? {}) as Partial<Kysely>
  return [getExecutor, withoutPlugins, executeQuery].every((method) => typeof method === 'function')
}

/** The dialect, by what its adapter says that it can do. */
export function dialectOf(db: Kysely): Dialect | 'mssql' {
  const { supportsReturning, supportsTransactionalDdl, supportsOutput } = db.getExecutor().adapter
  if (supportsOutput === true) return 'mssql'
  if (supportsReturning !== true) return 'mysql'
  return supportsTransactionalDdl === true ? 'postgres' : 'sqlite'
}

/** Whether it has more connections than one. */
export function isPooled(db: Kysely): boolean {
  return db.getExecutor().adapter.supportsMultipleConnections !== false
}

/** What a transaction has in common with the instance that has begun it, and with everything that is made from either. */
export function originOf(db: Kysely): object {
  return db.getExecutor().adapter
}

/** Whether a transaction is open, by what Kysely knows. Asks nothing of the database. */
export function isOpen(trx: Kysely): boolean {
  try {
    // It refuses at once when the transaction has ended; the rows would be read when somebody asks for the first one.
    trx.getExecutor().stream(compiled('SELECT 1', []), 1)
    return true
  } catch {
    return false
  }
}

/** The guard of the transaction of a handler, also of what is made from it. */
export function guardOf(trx: Kysely): Guard | undefined {
  const plugin = trx.getExecutor().plugins.find((one) => one instanceof KyselyGuard)
  return plugin?.guard
}

/** Runs a statement past all plugins. */
export async function run(db: Kysely, sql: string, params: readonly SqlValue[]): Promise<QueryResult> {
  const { rows, numAffectedRows } = await db.withoutPlugins().executeQuery(compiled(sql, params))
  return { rows, changed: Number(numAffectedRows ?? 0) }
}

const NO_PARAMETERS = Object.freeze([] as never[])
let count = 0

function compiled(sql: string, parameters: readonly unknown[]): CompiledQuery {
  return {
    sql,
    parameters,
    query: { kind: 'RawNode', sqlFragments: [sql], parameters: NO_PARAMETERS },
    queryId: { queryId: `tandem${++count}` },
  }
}
