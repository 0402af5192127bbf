/**
 * PostgreSQL through the package `postgres` (postgres.js).
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { PostgresJsBinding, type PostgresJsOptions, type PostgresJsSql } from './postgres-js-binding.ts'
import type { PostgresJsTransactionSql } from './postgres-js-sql.ts'

export type { PostgresJsOptions, PostgresJsSql } from './postgres-js-binding.ts'
export type { PostgresJsQuery, PostgresJsTransactionSql } from './postgres-js-sql.ts'

/**
 * An open transaction: what the callback of `sql.begin` is given, or that of a savepoint in it. A handler gets one that refuses everything
 * once its transaction has ended, and BEGIN, COMMIT and ROLLBACK always.
 */
export type PostgresJsTransaction<S extends PostgresJsSql> = S['begin'] extends {
  (callback: (sql: infer Tx) => unknown): unknown
  (options: string, callback: infer _): unknown
}
  ? Tx
  : PostgresJsTransactionSql

/**
 * Runs Tandem on an instance of postgres.js. Transactions begin with the isolation level that the database has as its default
 * (`default_transaction_isolation`). Tandem's own statements are prepared, unless the instance was made with `prepare: false`, as it must
 * be behind a PgBouncer that does not keep prepared statements.
 *
 * Nothing in postgres.js tells whether a transaction is still open, and a query on one that has ended runs outside of any. So `postgresJs`
 * replaces `sql.begin` by a function that does the same and follows what it begins: only the transactions of this very instance, begun after
 * this call by `sql.begin`, can be given to `send`; those on a `sql.reserve()` cannot.
 *
 * postgres.js commits nothing in which a query has failed, even if the error was caught; put such a query in a `savepoint`.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function postgresJs<S extends PostgresJsSql>(
  sql: S,
  options: PostgresJsOptions = {},
): Driver<PostgresJsTransaction<S>> {
  if (!PostgresJsBinding.isInstance(sql)) {
    throw new TandemError('CONFIG_INVALID', 'postgresJs: pass an instance of the package postgres')
  }
  return new PostgresDriver(new PostgresJsBinding('postgresJs', sql, options)) as Driver<object> as Driver<
    PostgresJsTransaction<S>
  >
}
