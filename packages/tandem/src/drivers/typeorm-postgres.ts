import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { lendClient } from './postgres-layer-pg.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'
import { LayerBinding } from './shared-layer.ts'
import { notInitialized, typeormLayer, type EntityManager, type TypeormSource } from './typeorm-runner.ts'

/** TypeORM on PostgreSQL. */
export function typeormOnPostgres(source: TypeormSource, options: PgOptions): Driver<EntityManager> {
  const below = new PgBinding('typeorm', poolOf(source), options)
  return new PostgresDriver(new LayerBinding(below, lendClient, typeormLayer(source, below)))
}

/** The pool of a data source, which it makes when it is initialized. */
function poolOf(source: TypeormSource): PgPool {
  const listeners: Parameters<PgPool['on']>[] = []
  let known: PgPool | undefined
  const current = (): PgPool | undefined => {
    const { master } = source.driver as { readonly master?: unknown }
    if (!PgBinding.isPool(master)) return undefined
    if (master !== known) for (const one of listeners) master.on(...one)
    known = master
    return master
  }
  return {
    connect: () => {
      const pool = current()
      if (pool !== undefined) return pool.connect()
      return Promise.reject(notInitialized())
    },
    on: (...one) => {
      listeners.push(one)
      current()?.on(...one)
    },
    get options() {
      return current()?.options ?? {}
    },
  }
}
