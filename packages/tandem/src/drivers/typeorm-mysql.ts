import type { Driver } from '../spi/driver.ts'
import { MysqlDriver } from './mysql-driver.ts'
import { Mysql2Binding, type Mysql2Options } from './mysql-mysql2-binding.ts'
import type { CoreConnection, CorePool } from './mysql-mysql2-core.ts'
import { lendConnection } from './mysql-mysql2-lend.ts'
import { LayerBinding } from './shared-layer.ts'
import { notInitialized, typeormLayer, type EntityManager, type TypeormSource } from './typeorm-runner.ts'

/** TypeORM on mysql2. */
export function typeormOnMysql2(source: TypeormSource, options: Mysql2Options): Driver<EntityManager> {
  const below = new Mysql2Binding('typeorm', poolOf(source), options)
  return new MysqlDriver(new LayerBinding(below, lendConnection, typeormLayer<CoreConnection>(source, below)))
}

/** The pool of a data source, which it makes when it is initialized. */
function poolOf(source: TypeormSource): CorePool {
  const listeners: Parameters<CorePool['on']>[] = []
  let known: CorePool | undefined
  const current = (): CorePool | undefined => {
    const { pool } = source.driver as { readonly pool?: CorePool }
    if (pool !== undefined && pool !== known) for (const one of listeners) pool.on(...one)
    known = pool
    return pool
  }
  return {
    getConnection: (callback) => {
      const pool = current()
      if (pool === undefined) process.nextTick(callback, notInitialized())
      else pool.getConnection(callback)
    },
    on: (...one) => {
      listeners.push(one)
      known?.on(...one)
    },
    get config() {
      return current()?.config ?? {}
    },
  }
}
