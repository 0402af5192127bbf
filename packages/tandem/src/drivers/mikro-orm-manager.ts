import type { Row } from '../spi/driver.ts'

/** An `EntityManager` of MikroORM, for those who know what goes in. */
export interface EntityManager {
  fork(): EntityManager
  transactional<T>(work: (em: EntityManager) => Promise<T>): Promise<T>
  flush(): Promise<void>
  getTransactionContext(): Context | undefined
  getConnection(): {
    getClient(): { executeQuery(query: Query): Promise<Result> }
    ensureConnection(): Promise<unknown>
    getConnectionOptions(): { readonly host?: string; readonly port?: number; readonly database?: string }
  }
  readonly config: { get(name: 'pool'): { readonly max?: number } | undefined }
}

/** A transaction of Kysely, which MikroORM runs its statements in, or a savepoint in one. */
interface Context {
  readonly isCommitted: boolean
  readonly isRolledBack: boolean
  executeQuery(query: Query): Promise<Result>
  getExecutor(): { provideConnection<T>(use: (connection: Connection) => Promise<T>): Promise<T> }
}

/** A connection of Kysely. */
export interface Connection {
  executeQuery: (query: Query, ...rest: unknown[]) => Promise<Result>
}

/** What `CompiledQuery.raw` of Kysely makes. */
export interface Query {
  readonly sql: string
  readonly parameters: readonly unknown[]
  readonly query: object
  readonly queryId: object
}

export interface Result {
  readonly rows: readonly Row[]
  readonly numAffectedRows?: bigint
}

export function isEntityManager(candidate: unknown): candidate is EntityManager {
  const { fork, transactional, getTransactionContext } = (candidate ?? {}) as Partial<EntityManager>
  return [fork, transactional, getTransactionContext].every((method) => typeof method === 'function')
}

/** The transaction of an entity manager, if it has or had one. */
export function contextOf(em: EntityManager): Context | undefined {
  return em.getTransactionContext()
}

const NO_PARAMETERS = Object.freeze([] as never[])
let count = 0

export function compiled(sql: string, parameters: readonly unknown[]): Query {
  return {
    sql,
    parameters,
    query: { kind: 'RawNode', sqlFragments: [sql], parameters: NO_PARAMETERS },
    queryId: { queryId: `tandem${++count}` },
  }
}
