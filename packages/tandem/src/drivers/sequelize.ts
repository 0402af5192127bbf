/**
 * PostgreSQL, MySQL and MariaDB through the package `sequelize`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import type { PgOptions } from './postgres-pg-binding.ts'
import { sequelizeOnMysql2 } from './sequelize-mysql.ts'
import { sequelizeOnPg } from './sequelize-postgres.ts'
import type { Sequelize } from './sequelize-transaction.ts'

/** A `Sequelize`, as far as the driver uses it. */
export interface SequelizeInstance {
  readonly connectionManager: {
    releaseConnection(connection: object): void
    destroyConnection(connection: object): Promise<void>
  }
  getDialect(): string
  // Of several forms, the last of which begins a transaction that is ended by hand.
  transaction(options?: never): Promise<unknown>
}

/** `prepare` is for PostgreSQL only. */
export type SequelizeOptions = PgOptions

/** An open transaction: what `sequelize.transaction` gives, with or without a callback; or one that is nested in it. */
export type SequelizeTransaction<S extends SequelizeInstance> = Awaited<ReturnType<S['transaction']>>

/**
 * Runs Tandem on a `Sequelize` with the dialect `postgres` (over `pg`) or `mysql` (over `mysql2`; MariaDB with this dialect as well), through the
 * pool of Sequelize. Tandem never closes it.
 *
 * Tandem's own statements go to the connection of the transaction, past Sequelize's logging, hooks and retries, so that no payload gets into a
 * query log. A handler's transaction begins with the isolation level that the database has as its default, on PostgreSQL with that of the
 * option `isolationLevel` where there is one. It refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always. Where Sequelize uses
 * continuation-local storage (`useCLS`) the models of a handler are in its transaction by themselves. `afterCommit` is called when the
 * database has committed; what it throws then is a warning.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function sequelize<S extends SequelizeInstance>(
  instance: S,
  options: SequelizeOptions = {},
): Driver<SequelizeTransaction<S>> {
  return driverFor(instance, options) as Driver<SequelizeTransaction<S>>
}

function driverFor(instance: unknown, options: SequelizeOptions): Driver<object> {
  const { getDialect, connectionManager } = (instance ?? {}) as Partial<Sequelize>
  if (typeof getDialect !== 'function' || connectionManager === undefined) {
    throw new TandemError(
      'CONFIG_INVALID',
      'sequelize: pass an instance of the class Sequelize of the package sequelize',
    )
  }
  const given = instance as Sequelize
  const dialect = given.getDialect()
  if (dialect === 'postgres') return sequelizeOnPg(given, options)
  if (dialect === 'mysql') return sequelizeOnMysql2(given, options)
  throw new TandemError(
    'CONFIG_INVALID',
    `sequelize: the dialect ${dialect} is not supported; it takes postgres and mysql (for MariaDB, too)`,
  )
}
