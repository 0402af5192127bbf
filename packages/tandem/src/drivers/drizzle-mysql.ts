import type { Driver } from '../spi/driver.ts'
import { drizzleLayer } from './drizzle-layer.ts'
import { lendToCallback, type DrizzleSession } from './drizzle-transactions.ts'
import { MysqlDriver } from './mysql-driver.ts'
import { Mysql2Binding, type Mysql2Options } from './mysql-mysql2-binding.ts'
import { lendConnection } from './mysql-mysql2-lend.ts'
import { LayerBinding } from './shared-layer.ts'

/** drizzle over a pool of mysql2, with promises or with callbacks. */
export function drizzleOnMysql2(db: DrizzleSession, pool: object, options: Mysql2Options): Driver<DrizzleSession> {
  const below = new Mysql2Binding('drizzle', pool, options)
  // What has promises is around it, and drizzle makes some of its own where it got one without.
  const core = (pool as { readonly pool?: object }).pool ?? pool
  lendToCallback(core, 'getConnection')
  return new MysqlDriver(new LayerBinding(below, lendConnection, drizzleLayer(db, core, below)))
}
