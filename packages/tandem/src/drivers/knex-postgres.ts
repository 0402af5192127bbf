import type { Driver } from '../spi/driver.ts'
import { acquire, connectionsOf, giveBack, knexLayer, type Knex } from './knex-database.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { lendClient } from './postgres-layer-pg.ts'
import { PgBinding, type PgOptions, type PgPool } from './postgres-pg-binding.ts'
import type { PgClient } from './postgres-pg-client.ts'
import { LayerBinding } from './shared-layer.ts'

/** knex on node-postgres. */
export function knexOnPg(db: Knex, options: PgOptions): Driver<Knex> {
  const below = new PgBinding('knex', poolOf(db), options)
  const layer = knexLayer(db, (connection) => connection as PgClient)
  return new PostgresDriver(new LayerBinding(below, lendClient, layer))
}

/** The pool of knex, as node-postgres has it. */
function poolOf(db: Knex): PgPool {
  return {
    connect: async () => {
      const client = (await acquire(db)) as PgClient
      // Clients that are of no pool of node-postgres have none.
      client.release = (failed) => giveBack(db, client, failed)
      return client
    },
    // knex listens to its connections itself.
    on: () => undefined,
    get options() {
      return connectionsOf(db)
    },
  }
}
