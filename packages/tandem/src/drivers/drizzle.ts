/**
 * PostgreSQL, MySQL and SQLite through the package `drizzle-orm`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { drizzleOnMysql2 } from './drizzle-mysql.ts'
import { DrizzleSqliteDriver } from './drizzle-sqlite.ts'
import { drizzleOnPg, drizzleOnPostgresJs } from './drizzle-postgres.ts'
import type { DrizzleSession } from './drizzle-transactions.ts'
import { PgBinding, type PgOptions } from './postgres-pg-binding.ts'
import { PostgresJsBinding } from './postgres-js-binding.ts'
import type { SqliteDriverOptions } from './sqlite-driver.ts'

/** A database of drizzle, as far as the driver uses it. */
export interface DrizzleDatabase {
  // Of each dialect's own form: the work takes a transaction of the database's own type.
  transaction(work: never, ...options: never[]): unknown
}

/**
 * `connectionTimeout` is for databases that have a pool, `prepare` for `pg` only, and the others are for SQLite: an option that the library
 * below has not is refused.
 */
export interface DrizzleOptions extends PgOptions, SqliteDriverOptions {}

/** An open transaction: what the callback of `db.transaction` is given, or that of `tx.transaction` in it. */
export type DrizzleTransaction<D extends DrizzleDatabase> = Parameters<D['transaction']>[0] extends (
  tx: infer Tx,
  ...rest: never[]
) => unknown
  ? Tx
  : never

/**
 * Runs Tandem on a database of drizzle over `pg` (with a `Pool`), `postgres` (postgres.js), `mysql2` (with a pool) or
 * `better-sqlite3`.
 *
 * What is below drizzle is taken from `db.$client`, which drizzle documents; Tandem's own statements go there, so that drizzle's logger, its
 * cache and the casing of names have no part in them. To learn which connection a transaction of drizzle has, and whether it is still open,
 * `drizzle` replaces `db.transaction` by a function that does the same and follows what it begins, and listens to where drizzle gets the
 * connection from (`pool.connect`, `sql.begin`, `pool.getConnection`): only transactions of this very database object, begun after this call, can be given to `send`.
 * Of a database made by `withReplicas` it takes the primary.
 *
 * Over better-sqlite3 drizzle's own transactions are synchronous, and end before anything can be sent in them: use
 * `tandem.transaction(async (tx) => …)`, which gives one of drizzle whose work, and whose savepoints, may be asynchronous.
 *
 * Transactions begin with the isolation level that the database has as its default. A handler's transaction refuses everything once it has
 * ended, and BEGIN, COMMIT and ROLLBACK always. What a statement of the user fails with is drizzle's
 * `DrizzleQueryError`, with what the library below said as its `cause`.
 *
 * @throws TandemError `CONFIG_INVALID` also for what is below drizzle and has no transactions that stay open (`neon-http`, proxies, D1);
 * `OPTION_UNKNOWN`
 */
export function drizzle<D extends DrizzleDatabase>(db: D, options: DrizzleOptions = {}): Driver<DrizzleTransaction<D>> {
  return driverFor(db, options) as Driver<object> as Driver<DrizzleTransaction<D>>
}

function driverFor(db: unknown, options: DrizzleOptions): Driver<DrizzleSession> {
  const given = (db ?? {}) as { $primary?: unknown }
  const primary = (given.$primary ?? given) as DrizzleSession & { readonly $client?: object }
  const { $client: client, transaction } = primary
  if (typeof transaction !== 'function' || client === undefined) {
    const text = 'drizzle: pass the database that a function `drizzle` of drizzle-orm returned, with its $client'
    throw new TandemError('CONFIG_INVALID', text)
  }
  if (PgBinding.isPool(client)) return drizzleOnPg(primary, client, options)
  if (PostgresJsBinding.isInstance(client)) return drizzleOnPostgresJs(primary, client, options)
  if (DrizzleSqliteDriver.isClient(client)) return new DrizzleSqliteDriver(primary, client, options)
  if ('getConnection' in client) return drizzleOnMysql2(primary, client, options)
  throw new TandemError(
    'CONFIG_INVALID',
    `drizzle: ${kindOf(primary)} is not supported: it takes drizzle over a Pool of pg, over postgres (postgres.js), a pool of mysql2 or better-sqlite3`,
  )
}

/** The name that drizzle gives its classes, for messages. */
function kindOf(db: object): string {
  const { constructor } = db as { constructor?: { readonly [name: symbol]: unknown } }
  const kind = constructor?.[Symbol.for('drizzle:entityKind')]
  return typeof kind === 'string' ? kind : 'this database'
}
