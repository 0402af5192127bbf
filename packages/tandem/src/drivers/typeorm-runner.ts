import { errorText, TandemError } from '../core/errors.ts'
import type { Layer } from './shared-layer.ts'

/** A `DataSource` of TypeORM, for those who know what goes in. */
export interface TypeormSource {
  readonly options: { readonly type: string }
  readonly driver: object
  createQueryRunner(): QueryRunner
}

/** A query runner of TypeORM, as far as the driver uses it. */
interface QueryRunner {
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
function openRunnerOf(candidate: { readonly queryRunner?: unknown } | undefined): QueryRunner | undefined {
  const runner = (candidate?.queryRunner ?? {}) as Partial<QueryRunner>
  if (typeof runner.connect !== 'function' || typeof runner.startTransaction !== 'function') return undefined
  return runner.isReleased === false && runner.isTransactionActive === true ? (runner as QueryRunner) : undefined
}

/** What TypeORM knows of its transactions. `below`: what is known of their connections. */
export function typeormLayer<Raw extends object>(
  source: TypeormSource,
  below: { isOpen(connection: Raw, candidate: Raw): boolean; isHere(connection: Raw): boolean },
): Layer<Raw, EntityManager> {
  /** Those that were lent, by what stands for them. */
  const lentOf = new WeakMap<object, Raw>()
  const realOf = (connection: object): Raw => lentOf.get(connection) ?? (connection as Raw)
  // Undefined until the runner has run its first statement.
  const connectionOf = ({ databaseConnection: one }: QueryRunner): Raw | undefined => one && realOf(one)
  return {
    name: 'typeorm',
    within: async (raw, lent, work) => {
      lentOf.set(lent, raw)
      const runner = source.createQueryRunner()
      runner.databaseConnection = lent
      // Answered by the connection that it was lent.
      await runner.startTransaction()
      await work(runner.manager)
    },
    // The runner is not released: its connection was lent, and refuses everything from here on.
    ended: async ({ queryRunner: runner }, how) => {
      try {
        await (how === 'committed' ? runner.commitTransaction() : runner.rollbackTransaction())
      } catch (error) {
        // The database has its answer already: what fails are subscribers of the user.
        process.emitWarning(`typeorm: a transaction was ${how}, and then failed: ${errorText(error)}`, 'TandemWarning')
      }
    },
    rootOf,
    connectionOf: async (root) => realOf((await root.queryRunner.connect()) as object),
    isOpen: (candidate) => {
      const runner = openRunnerOf(rootOf(candidate))
      const connection = runner === undefined ? undefined : connectionOf(runner)
      return connection !== undefined && below.isOpen(connection, connection)
    },
    isHere: (root) => {
      const connection = connectionOf(root.queryRunner)
      return connection === undefined || below.isHere(connection)
    },
  }
}

/** An entity manager of a query runner, also when it is given as the runner. */
function rootOf(candidate: object): EntityManager | undefined {
  const { queryRunner, manager } = candidate as Partial<EntityManager & QueryRunner>
  return queryRunner?.manager ?? (openRunnerOf({ queryRunner: candidate }) === undefined ? undefined : manager)
}

/** For calls that need what a data source makes when it is initialized. */
export function notInitialized(): TandemError {
  const text =
    'typeorm: the DataSource is not initialized; call initialize() before Tandem starts, and destroy() after it has stopped'
  return new TandemError('LIFECYCLE', text)
}
