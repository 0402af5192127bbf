/**
 * PostgreSQL through the package `kysely`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { dialectOf, isKysely, type Kysely, type KyselyDatabase } from './kysely-database.ts'
import { KyselyPostgresBinding, type KyselyOptions } from './kysely-postgres.ts'
import { PostgresDriver } from './postgres-driver.ts'

export type { KyselyDatabase } from './kysely-database.ts'
export type { KyselyOptions } from './kysely-postgres.ts'

/**
 * An open transaction: what the callback of `db.transaction().execute` is given, what `db.startTransaction().execute()` returns, and what is
 * made from either by `withSchema`, `withPlugin` and `savepoint`.
 */
export type KyselyTransaction<K extends KyselyDatabase> = Parameters<
  ReturnType<K['transaction']>['execute']
>[0] extends (trx: infer Tx, ...rest: never[]) => unknown
  ? Tx
  : never

/**
 * Runs Tandem on an instance of Kysely (0.29 or later) whose dialect is PostgreSQL: the one over `pg`, that of PGlite, or another one with
 * the same adapter.
 *
 * Tandem's own statements go through `executeQuery` of an instance without plugins, so that those (`CamelCasePlugin`) do not change what they
 * return; `log` sees them. What the connection makes of the types of columns cannot be seen through Kysely, so numbers, text, booleans and
 * bytes have to arrive as JavaScript has them, which is looked at when the driver opens; `int8` may be text, a number or a BigInt.
 *
 * Only transactions of this instance, or of one made from it (`withSchema`, `withPlugin`), can be given to `send`. A handler's transaction
 * carries a plugin of Tandem, by which it refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always. Transactions begin with
 * the isolation level that the database has as its default.
 *
 * Kysely does not listen to the errors of connections that are in use, which node-postgres then lets end the process. Give the pool a
 * listener: `pool.on('connect', (client) => client.on('error', log))`, and one for its own `error` event.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function kysely<K extends KyselyDatabase>(db: K, options: KyselyOptions = {}): Driver<KyselyTransaction<K>> {
  return driverFor(db, options) as Driver<object> as Driver<KyselyTransaction<K>>
}

function driverFor(db: unknown, options: KyselyOptions): Driver<Kysely> {
  if (!isKysely(db) || db.isTransaction) {
    throw new TandemError('CONFIG_INVALID', 'kysely: pass an instance of Kysely (0.29 or later) that is no transaction')
  }
  const dialect = dialectOf(db)
  if (dialect === 'postgres') return new PostgresDriver(new KyselyPostgresBinding(db, options))
  throw new TandemError('CONFIG_INVALID', `kysely: a dialect like that of ${dialect} is not supported`)
}
