/**
 * Tandem on nothing but files: a database per service and a broker that the services share, for teams that have neither and for trying
 * things out.
 *
 * @module
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sqlite as sqliteBroker } from './brokers/sqlite/index.ts'
import { TandemError } from './core/errors.ts'
import { checkOptions } from './core/limits.ts'
import { nodeSqlite, type NodeSqliteTransaction } from './drivers/node-sqlite.ts'
import type { Broker } from './spi/broker.ts'
import type { Store } from './spi/store.ts'
import { sqlite } from './stores/sqlite/index.ts'

export interface EmbeddedOptions {
  /**
   * Milliseconds after which the broker delivers what a dead process held to others. Default 10,000. The services have a lease of their
   * own, `createTandem({ lease })`.
   */
  readonly lease?: number
}

export interface Embedded {
  readonly store: Store<NodeSqliteTransaction>
  readonly broker: Broker
}

/**
 * The store `<folder>/<service>.db`, which also has room for the service's own tables, and the broker `<folder>/broker.db`, which all
 * services that name the same folder share. Files and tables are made where they are missing.
 *
 * @example createTandem({ service: 'order', ...embedded('./data') })
 */
export function embedded(folder: string, options: EmbeddedOptions = {}): Embedded {
  checkOptions('embedded', options, ['lease'])
  const file = (name: string, create = true): string => {
    if (create) mkdirSync(folder, { recursive: true })
    return join(folder, `${name}.db`)
  }
  const store = nodeSqlite(({ service, create }) => {
    if (service !== 'broker') return file(service, create)
    throw new TandemError(
      'NAME_INVALID',
      'embedded: a service cannot be called "broker", the name of the file that all share',
    )
  })
  return {
    store: sqlite(store, { migrate: true }),
    broker: sqliteBroker(
      nodeSqlite(({ create }) => file('broker', create)),
      options,
    ),
  }
}
