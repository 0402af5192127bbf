import { afterAll, beforeAll } from 'vitest'
import type { DriverConformanceOptions } from '../../src/conformance/driver.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { createMariadb, type TestMariadb } from '../support/mariadb.ts'

interface Library<Pool, Tx> {
  readonly name: string
  readonly connect: (address: MariadbAddress) => Pool
  readonly driver: (pool: Pool) => Driver<Tx>
  /** Default: `end` of the pool. */
  readonly end?: (pool: Pool) => Promise<unknown>
}

/** The conformance options of one library. All cases share two databases; each makes a table of its own. */
export function mariadbConformance<Pool extends { end(): unknown }, Tx>(
  library: Library<Pool, Tx>,
  over: 'tcp' | 'socket',
): DriverConformanceOptions<Tx> {
  let databases: TestMariadb[] = []
  beforeAll(async () => {
    databases = [await createMariadb(), await createMariadb()]
  })
  afterAll(async () => {
    for (const database of databases) await database.drop()
  })
  return {
    name: library.name,
    dialect: 'mysql',
    capabilities: { concurrentTransactions: true },
    siblings: true,
    make: () => {
      const pools: Pool[] = []
      const driverOn = (database: TestMariadb | undefined): Driver<Tx> => {
        if (database === undefined) throw new Error('the databases are made before the tests')
        const pool = library.connect(database[over])
        pools.push(pool)
        return library.driver(pool)
      }
      const [here, elsewhere] = databases
      return Promise.resolve({
        driver: driverOn(here),
        sibling: driverOn(here),
        stranger: driverOn(elsewhere),
        dispose: async () => {
          await Promise.all(pools.map((pool) => (library.end === undefined ? pool.end() : library.end(pool))))
        },
      })
    },
  }
}
