import { callbackify } from 'node:util'
import type { Driver } from '../spi/driver.ts'
import { acquire, connectionsOf, giveBack, knexLayer, type Knex } from './knex-database.ts'
import { MysqlDriver } from './mysql-driver.ts'
import { Mysql2Binding, type Mysql2Options } from './mysql-mysql2-binding.ts'
import type { CoreConnection, CorePool } from './mysql-mysql2-core.ts'
import { lendConnection } from './mysql-mysql2-lend.ts'
import { LayerBinding } from './shared-layer.ts'

/** knex on mysql2. */
export function knexOnMysql2(db: Knex, options: Mysql2Options): Driver<Knex> {
  const below = new Mysql2Binding('knex', poolOf(db), options)
  const layer = knexLayer(db, (connection) => connection as CoreConnection)
  return new MysqlDriver(new LayerBinding(below, lendConnection, layer))
}

/** The pool of knex, as mysql2 has it. */
function poolOf(db: Knex): CorePool {
  return {
    getConnection: callbackify(async () => asPooled(db, (await acquire(db)) as CoreConnection)),
    // knex listens to its connections itself.
    on: () => undefined,
    get config() {
      const { max } = connectionsOf(db)
      return max === undefined ? {} : { connectionLimit: max }
    },
  }
}

/** Connections that are of no pool of mysql2 are not given back by their own methods. */
function asPooled(db: Knex, core: CoreConnection): CoreConnection {
  const own = Object.getPrototypeOf(core) as CoreConnection
  core.release = () => giveBack(db, core, undefined)
  core.destroy = () => {
    own.destroy.call(core)
    giveBack(db, core, true)
  }
  return core
}
