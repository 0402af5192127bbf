/**
 * PostgreSQL, MySQL and MariaDB through the package `typeorm`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import type { PgOptions } from './postgres-pg-binding.ts'
import { typeormOnMysql2 } from './typeorm-mysql.ts'
import { typeormOnPostgres } from './typeorm-postgres.ts'
import type { TypeormSource } from './typeorm-runner.ts'

/** A `DataSource` of TypeORM, as far as the driver uses it. */
export interface TypeormDataSource {
  readonly options: { readonly type: string }
  readonly driver: object
  readonly manager: { readonly queryRunner?: unknown }
  createQueryRunner(): { startTransaction(): Promise<void>; release(): Promise<void> }
}

/** `prepare` is for PostgreSQL only. */
export type TypeormOptions = PgOptions

/**
 * An open transaction: the entity manager that the callback of `dataSource.transaction` is given, or `queryRunner.manager` of a query runner
 * on which the user has called `startTransaction`. `dataSource.manager` is of the same type and no transaction: it is refused when it is used.
 */
export type TypeormTransaction<D extends TypeormDataSource> = D['manager']

/**
 * Runs Tandem on a `DataSource` of TypeORM of the type `postgres`, `mysql` or `mariadb`, through the pool of `pg` or `mysql2` that it has made. It has to be initialized
 * when Tandem starts; Tandem never closes it.
 *
 * Tandem's own statements go to the connection of the transaction, past TypeORM's logger and its subscribers, so that no payload gets into a
 * query log. A handler's transaction begins with the isolation level that the database has as its default, on PostgreSQL with that of the
 * data source where it says one. It refuses everything once
 * it has ended, and BEGIN, COMMIT and ROLLBACK always; `manager.transaction` in it is a savepoint. Subscribers are told of the commit when
 * the database has committed; what they do or throw then changes nothing in it.
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
  const source = dataSource as TypeormSource
  if (settings.type === 'postgres') return typeormOnPostgres(source, options)
  if (settings.type === 'mysql' || settings.type === 'mariadb') return typeormOnMysql2(source, options)
  throw new TandemError(
    'CONFIG_INVALID',
    `typeorm: a DataSource of the type ${settings.type} is not supported; it takes postgres, mysql and mariadb`,
  )
}
