/**
 * PostgreSQL and MySQL through the package `knex`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { isKnex, type Knex } from './knex-database.ts'
import { knexOnMysql2 } from './knex-mysql.ts'
import { knexOnPg } from './knex-postgres.ts'
import type { PgOptions } from './postgres-pg-binding.ts'

/** `prepare` is for PostgreSQL only. */
export type KnexOptions = PgOptions

/** An instance of knex, as far as the driver uses it. */
export interface KnexDatabase {
  transactionProvider(): () => Promise<unknown>
  transaction(work: never, options: never): unknown
  readonly client: unknown
}

/** An open transaction: what the callback of `knex.transaction` is given, what it returns without one, or one inside such a one. */
export type KnexTransaction<K extends KnexDatabase> = Awaited<ReturnType<ReturnType<K['transactionProvider']>>>

/**
 * Runs Tandem on an instance of knex with the client `pg` or `mysql2`.
 *
 * Tandem's own statements go to the connection of the transaction (`trx.client.acquireConnection()`), so that `postProcessResponse`,
 * `wrapIdentifier` and the `?` of `raw` have no part in them. A transaction of another instance is taken if its connection settings have the
 * same host, port and database. A handler's transaction refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always;
 * transactions inside it are savepoints, as knex has it. Transactions begin with the isolation level that the database has as its default.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function knex<K extends KnexDatabase>(db: K, options: KnexOptions = {}): Driver<KnexTransaction<K>> {
  return driverFor(db, options) as Driver<object> as Driver<KnexTransaction<K>>
}

function driverFor(db: unknown, options: KnexOptions): Driver<Knex> {
  if (!isKnex(db) || db.isTransaction === true) {
    throw new TandemError('CONFIG_INVALID', 'knex: pass an instance of knex that is no transaction')
  }
  const { dialect, driverName } = db.client
  if (dialect === 'postgresql' && driverName === 'pg') return knexOnPg(db, options)
  if (driverName === 'mysql2') return knexOnMysql2(db, options)
  throw new TandemError(
    'CONFIG_INVALID',
    `knex: the client ${driverName ?? dialect ?? 'of this instance'} is not supported: it takes pg and mysql2`,
  )
}
