import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { lendClient } from './postgres-layer-pg.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'
import type { PgClient } from './postgres-pg-client.ts'
import {
  acquire,
  connectionsOf,
  giveBack,
  sequelizeLayer,
  type Sequelize,
  type Transaction,
} from './sequelize-transaction.ts'
import { LayerBinding } from './shared-layer.ts'

/** Sequelize on node-postgres. */
export function sequelizeOnPg(sequelize: Sequelize, options: PgOptions): Driver<Transaction> {
  const below = new PgBinding('sequelize', poolOf(sequelize), options)
  const layer = sequelizeLayer<PgClient>(sequelize, below)
  return new PostgresDriver(new LayerBinding(below, lendClient, layer))
}

/** The pool of Sequelize, as node-postgres has it. */
function poolOf(sequelize: Sequelize): PgPool {
  return {
    connect: async () => {
      const client = (await acquire(sequelize)) as PgClient
      // Clients that are of no pool of node-postgres have none.
      client.release = (failed) => giveBack(sequelize, client, failed !== undefined && failed !== false)
      return client
    },
    // Sequelize listens to its connections itself.
    on: () => undefined,
    options: { max: connectionsOf(sequelize) },
  }
}
