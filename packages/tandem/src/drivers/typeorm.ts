/**
 * PostgreSQL through the package `typeorm`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import type { PgOptions } from './postgres-pg-binding.ts'
import { typeormOnPostgres } from './typeorm-postgres.ts'
import type { TypeormSource } from './typeorm-runner.ts'

/** A `DataSource` of TypeORM, as far as the driver uses it. */
export interface TypeormDataSource {
  readonly options: { readonly type: string }
  readonly driver: object
  readonly manager: { readonly queryRunner?: unknown }
  createQueryRunner(): { startTransaction(): Promise<void>; release(): Promise<void> }
}

export type TypeormOptions = PgOptions

/**
 * An open transaction: the entity manager that the callback of `dataSource.transaction` is given, or `queryRunner.manager` of a query runner
 * on which the user has called `startTransaction`. `dataSource.manager` is of the same type and no transaction: it is refused when it is used.
 */
export type TypeormTransaction<D extends TypeormDataSource> = D['manager']

/**
 * Runs Tandem on a `DataSource` of TypeORM for PostgreSQL, through the pool of `pg` that the data source has made. It has to be initialized
 * when Tandem starts; Tandem never closes it.
 *
 * Tandem's own statements go to the connection of the transaction, past TypeORM's logger and its subscribers, so that no payload gets into a
 * query log. A handler's transaction begins with the isolation level that the data source says, or the database. It refuses everything once
 * it has ended, and BEGIN, COMMIT and ROLLBACK always; `manager.transaction` in it is a savepoint. Subscribers are told of the commit when
 * PostgreSQL has committed; what they do or throw then changes nothing in it.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function typeorm<D extends TypeormDataSource>(
  dataSource: D,
  options: TypeormOptions = {},
): Driver<TypeormTransaction<D>> {
  return driverFor(dataSource, options)
}

function driverFor(dataSource: unknown, options: TypeormOptions): Driver<object> {
  const { createQueryRunner, options: settings, driver } = (dataSource ?? {}) as Partial<TypeormSource>
  if (typeof createQueryRunner !== 'function' || settings === undefined || driver === undefined) {
    throw new TandemError('CONFIG_INVALID', 'typeorm: pass a DataSource of the package typeorm')
  }
  if (settings.type === 'postgres') return typeormOnPostgres(dataSource as TypeormSource, options)
  throw new TandemError(
    'CONFIG_INVALID',
    `typeorm: a DataSource of the type ${settings.type} is not supported; it takes postgres`,
  )
}
