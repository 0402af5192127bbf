import type { Driver } from '../spi/driver.ts'
import {
  followedOf,
  followTransactions,
  lendBegin,
  lendFrom,
  withinConnection,
  type DrizzleSession,
} from './drizzle-transactions.ts'
import { PostgresDriver, type PostgresBinding } from './postgres-driver.ts'
import { PostgresJsBinding, type PostgresJsOptions, type PostgresJsSql } from './postgres-js-binding.ts'
import { lendSql } from './postgres-layer-js.ts'
import { lendClient } from './postgres-layer-pg.ts'
import { PostgresLayerBinding, type Lent, type PostgresLayer } from './postgres-layer.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'

/** drizzle over node-postgres. */
export function drizzleOnPg(db: DrizzleSession, pool: PgPool, options: PgOptions): Driver<DrizzleSession> {
  const below = new PgBinding('drizzle', pool, options)
  lendFrom(pool, 'connect')
  return driverOn(db, pool, below, lendClient)
}

/** drizzle over postgres.js. */
export function drizzleOnPostgresJs(
  db: DrizzleSession,
  sql: PostgresJsSql,
  options: PostgresJsOptions,
): Driver<DrizzleSession> {
  const below = new PostgresJsBinding('drizzle', sql, options)
  lendBegin(sql)
  return driverOn(db, sql, below, lendSql)
}

function driverOn<Raw extends object>(
  db: DrizzleSession,
  source: object,
  below: PostgresBinding<Raw, Raw>,
  lend: (raw: Raw) => Lent<Raw>,
): Driver<DrizzleSession> {
  followTransactions(db, source)
  const connectionOf = (tx: object): Raw => followedOf(tx)?.connection as Raw
  const layer: PostgresLayer<Raw, DrizzleSession> = {
    name: 'drizzle',
    within: async (connection, given, work) => withinConnection(db, { source, given, connection }, work),
    rootOf: (candidate) => {
      const { root, connection } = followedOf(candidate) ?? {}
      return connection !== undefined && below.isTransaction(connection) ? root : undefined
    },
    connectionOf,
    isOpen: (candidate) => {
      const connection = connectionOf(candidate)
      return followedOf(candidate)?.isOpen() === true && below.isOpen(connection, connection)
    },
    isHere: (root) => below.isHere(connectionOf(root)),
  }
  return new PostgresDriver(new PostgresLayerBinding(below, lend, layer))
}
