import { errorText, TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { lendClient } from './postgres-layer-pg.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'
import type { PgClient } from './postgres-pg-client.ts'
import { LayerBinding, type Layer } from './shared-layer.ts'
import { openRunnerOf, type EntityManager, type QueryRunner, type TypeormSource } from './typeorm-runner.ts'

/** TypeORM on PostgreSQL. */
export function typeormOnPostgres(source: TypeormSource, options: PgOptions): Driver<EntityManager> {
  const below = new PgBinding('typeorm', poolOf(source), options)
  const rootOf = (candidate: object): EntityManager | undefined => {
    const { queryRunner, manager } = candidate as Partial<EntityManager & QueryRunner>
    return queryRunner?.manager ?? (openRunnerOf({ queryRunner: candidate }) === undefined ? undefined : manager)
  }
  const layer: Layer<PgClient, EntityManager> = {
    name: 'typeorm',
    within: async (_, lent, work) => {
      const runner = source.createQueryRunner()
      runner.databaseConnection = lent
      // Answered by the connection that it was lent.
      await runner.startTransaction()
      await work(runner.manager)
    },
    ended: async ({ queryRunner: runner }, how) => {
      try {
        await (how === 'committed' ? runner.commitTransaction() : runner.rollbackTransaction())
      } catch (error) {
        // The database has its answer already: what fails are subscribers of the user.
        process.emitWarning(`typeorm: a transaction was ${how}, and then failed: ${errorText(error)}`, 'TandemWarning')
      }
      // Not released: its connection was lent, and refuses everything from here on.
    },
    rootOf,
    connectionOf: (root) => root.queryRunner.connect() as Promise<PgClient>,
    isOpen: (candidate) => {
      const runner = openRunnerOf(rootOf(candidate))
      return runner !== undefined && clientOf(runner) !== undefined && below.isOpen(clientOf(runner) as PgClient)
    },
    isHere: (root) => {
      const client = clientOf(root.queryRunner)
      return client === undefined || below.isHere(client)
    },
  }
  return new PostgresDriver(new LayerBinding(below, lendClient, layer))
}

/** Undefined until the runner has run its first statement. */
function clientOf(runner: QueryRunner): PgClient | undefined {
  return runner.databaseConnection as PgClient | undefined
}

/** The pool of a data source, which it makes when it is initialized. */
function poolOf(source: TypeormSource): PgPool {
  const listeners: Parameters<PgPool['on']>[] = []
  let known: PgPool | undefined
  const current = (): PgPool | undefined => {
    const { master } = source.driver as { readonly master?: unknown }
    if (!PgBinding.isPool(master)) return undefined
    if (master !== known) for (const one of listeners) master.on(...one)
    known = master
    return master
  }
  return {
    connect: () => {
      const pool = current()
      if (pool !== undefined) return pool.connect()
      const text =
        'typeorm: the DataSource is not initialized; call initialize() before Tandem starts, and destroy() after it has stopped'
      return Promise.reject(new TandemError('LIFECYCLE', text))
    },
    on: (...one) => {
      listeners.push(one)
      current()?.on(...one)
    },
    get options() {
      return current()?.options ?? {}
    },
  }
}
