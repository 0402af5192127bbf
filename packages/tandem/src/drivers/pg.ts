/**
 * PostgreSQL through the package `pg` (node-postgres).
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'

export type { PgOptions, PgPool } from './postgres-pg-binding.ts'
export type { PgClient, PgResult, PgStatement } from './postgres-pg-client.ts'

/**
 * An open transaction: a client, of the type that the pool gives. A handler gets one that refuses everything once its transaction has ended,
 * and BEGIN, COMMIT and ROLLBACK always; its `release` does nothing. A client on which the user has run `BEGIN` is one as well, of the pool
 * or made by `new Client`.
 */
export type PgTransaction<P extends PgPool> = P extends {
  connect: { (): Promise<infer C>; (callback: infer _): void }
}
  ? C
  : Awaited<ReturnType<P['connect']>>

/**
 * Runs Tandem on a `Pool` of node-postgres. Transactions begin with the isolation level that the database has as its default
 * (`default_transaction_isolation`).
 *
 * It listens to the pool's `error` event, which node-postgres emits when an idle connection breaks and which would end the process if nobody
 * listened; the pool replaces such connections by itself. The pool is never closed by Tandem.
 *
 * A client of another database is refused as far as it can be told: by its host, port and database name, as they were given. Clients of
 * `pg-native` do not say whether a transaction is open on them, so only the transactions that Tandem begins can be used there.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function pg<P extends PgPool>(pool: P, options: PgOptions = {}): Driver<PgTransaction<P>> {
  if (!PgBinding.isPool(pool)) throw new TandemError('CONFIG_INVALID', 'pg: pass a Pool of the package pg')
  return new PostgresDriver(new PgBinding('pg', pool, options)) as Driver<object> as Driver<PgTransaction<P>>
}
