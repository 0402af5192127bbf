/**
 * MySQL and MariaDB through the package `mysql2`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { MysqlDriver } from './mysql-driver.ts'
import { Mysql2Binding, type Mysql2Options } from './mysql-mysql2-binding.ts'

export type { Mysql2Options } from './mysql-mysql2-binding.ts'

/** A pool of `mysql2/promise`, as far as the driver uses it. */
export interface Mysql2PromisePool {
  getConnection(): Promise<object>
  readonly pool: object
}

/** A pool of `mysql2`, with callbacks. */
export interface Mysql2CallbackPool {
  getConnection(callback: (error: Error | null, connection: object) => void): void
  promise(): object
}

/**
 * An open transaction: a connection, of the type that the pool gives. A handler gets one that refuses everything once its transaction has ended,
 * and whatever begins, ends or commits a transaction always; its `release` does nothing. A connection on which the user has called
 * `beginTransaction()` is one as well, of the pool or made by `createConnection`.
 */
export type Mysql2Transaction<P extends Mysql2PromisePool | Mysql2CallbackPool> = P extends {
  getConnection(): Promise<infer C>
}
  ? C
  : P extends { getConnection(callback: (error: Error | null, connection: infer C) => void): void }
    ? C
    : never

/**
 * Runs Tandem on a pool of mysql2, with promises or with callbacks. Transactions begin with the isolation level that the connection has.
 *
 * Tandem's own statements are sent as text, and read what they read whatever the pool's settings for values are. The pool is never closed
 * by Tandem, and connections must speak utf8mb4, as they do by default.
 *
 * A connection to another database is refused as far as it can be told: by its host, port and database, as they were given.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function mysql2<P extends Mysql2PromisePool | Mysql2CallbackPool>(
  pool: P,
  options: Mysql2Options = {},
): Driver<Mysql2Transaction<P>> {
  if (typeof pool !== 'object' || pool === null) {
    throw new TandemError('CONFIG_INVALID', 'mysql2: pass a pool of the package mysql2')
  }
  return new MysqlDriver(new Mysql2Binding('mysql2', pool, options)) as Driver<object> as Driver<Mysql2Transaction<P>>
}
