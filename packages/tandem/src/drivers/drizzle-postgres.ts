import type { Driver } from '../spi/driver.ts'
import { drizzleLayer } from './drizzle-layer.ts'
import { lendBegin, lendFrom, type DrizzleSession } from './drizzle-transactions.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { PostgresJsBinding, type PostgresJsOptions, type PostgresJsSql } from './postgres-js-binding.ts'
import { lendSql } from './postgres-layer-js.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'
import { lendClient } from './postgres-layer-pg.ts'
import { LayerBinding } from './shared-layer.ts'

/** drizzle over node-postgres. */
export function drizzleOnPg(db: DrizzleSession, pool: PgPool, options: PgOptions): Driver<DrizzleSession> {
  const below = new PgBinding('drizzle', pool, options)
  lendFrom(pool, 'connect')
  return new PostgresDriver(new LayerBinding(below, lendClient, drizzleLayer(db, pool, below)))
}

/** drizzle over postgres.js. */
export function drizzleOnPostgresJs(
  db: DrizzleSession,
  sql: PostgresJsSql,
  options: PostgresJsOptions,
): Driver<DrizzleSession> {
  const below = new PostgresJsBinding('drizzle', sql, options)
  lendBegin(sql)
  return new PostgresDriver(new LayerBinding(below, lendSql, drizzleLayer(db, sql, below)))
}
