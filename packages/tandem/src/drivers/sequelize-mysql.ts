import { EventEmitter } from 'node:events'
import { callbackify } from 'node:util'
import type { Driver } from '../spi/driver.ts'
import { MysqlDriver } from './mysql-driver.ts'
import { Mysql2Binding, type Mysql2Options } from './mysql-mysql2-binding.ts'
import type { CoreConnection, CorePool } from './mysql-mysql2-core.ts'
import { lendConnection } from './mysql-mysql2-lend.ts'
import {
  acquire,
  connectionsOf,
  giveBack,
  sequelizeLayer,
  type Sequelize,
  type Transaction,
} from './sequelize-transaction.ts'
import { LayerBinding } from './shared-layer.ts'

/** Sequelize on mysql2. */
export function sequelizeOnMysql2(sequelize: Sequelize, options: Mysql2Options): Driver<Transaction> {
  const below = new Mysql2Binding('sequelize', poolOf(sequelize), options)
  const layer = sequelizeLayer<CoreConnection>(sequelize, below)
  const { within } = layer
  return new MysqlDriver(
    new LayerBinding(below, lendConnection, {
      ...layer,
      within: (core, lent, work) => within(core, withCommands(lent), work),
    }),
  )
}

/** The pool of Sequelize, as mysql2 has it. */
function poolOf(sequelize: Sequelize): CorePool {
  return {
    getConnection: callbackify(async () => asPooled(sequelize, (await acquire(sequelize)) as CoreConnection)),
    // Sequelize listens to its connections itself.
    on: () => undefined,
    config: { connectionLimit: connectionsOf(sequelize) },
  }
}

/** Connections that are of no pool of mysql2 are not given back by their own methods. */
function asPooled(sequelize: Sequelize, core: CoreConnection): CoreConnection {
  const own = Object.getPrototypeOf(core) as CoreConnection
  core.release = () => giveBack(sequelize, core, false)
  core.destroy = () => {
    own.destroy.call(core)
    giveBack(sequelize, core, true)
  }
  return core
}

/** Sequelize calls a method of what `query` returns, also where the statement was answered or refused without one. */
function withCommands(core: CoreConnection): CoreConnection {
  type Call = (...args: unknown[]) => unknown
  return new Proxy(core, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (name !== 'query' && name !== 'execute') return value
      return (...args: unknown[]) => (value as Call).apply(target, args) ?? new EventEmitter()
    },
    set: (target, name, value) => Reflect.set(target, name, value),
  })
}
