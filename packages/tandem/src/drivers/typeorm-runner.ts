/** A `DataSource` of TypeORM, for those who know what goes in. */
export interface TypeormSource {
  readonly options: { readonly type: string }
  readonly driver: object
  createQueryRunner(): QueryRunner
}

/** A query runner of TypeORM, as far as the driver uses it. */
export interface QueryRunner {
  readonly manager: EntityManager
  readonly isReleased: boolean
  readonly isTransactionActive: boolean
  /** What it runs its statements on, once it has one. */
  databaseConnection?: object
  connect(): Promise<unknown>
  startTransaction(): Promise<void>
  commitTransaction(): Promise<void>
  rollbackTransaction(): Promise<void>
}

/** The entity manager of a query runner. */
export interface EntityManager {
  readonly queryRunner: QueryRunner
}

/** The query runner of an entity manager, if a transaction is open on it. */
export function openRunnerOf(candidate: { readonly queryRunner?: unknown } | undefined): QueryRunner | undefined {
  const runner = (candidate?.queryRunner ?? {}) as Partial<QueryRunner>
  if (typeof runner.connect !== 'function' || typeof runner.startTransaction !== 'function') return undefined
  return runner.isReleased === false && runner.isTransactionActive === true ? (runner as QueryRunner) : undefined
}
