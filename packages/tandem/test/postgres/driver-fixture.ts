import { afterAll, beforeAll } from 'vitest'
import type { DriverConformanceOptions } from '../../src/conformance/driver.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'

interface Library<Pool, Tx> {
  readonly name: string
  readonly connect: (address: PostgresAddress) => Pool
  readonly driver: (pool: Pool) => Driver<Tx>
  readonly pipelining?: boolean
}

/** The conformance options of one library. All cases share two databases; each makes a table of its own. */
export function postgresConformance<Pool extends { end(): Promise<unknown> }, Tx>(
  library: Library<Pool, Tx>,
  over: 'tcp' | 'socket',
): DriverConformanceOptions<Tx> {
  let databases: TestDatabase[] = []
  beforeAll(async () => {
    databases = [await createDatabase(), await createDatabase()]
  })
  afterAll(async () => {
    for (const database of databases) await database.drop()
  })
  return {
    name: library.name,
    dialect: 'postgres',
    capabilities: { concurrentTransactions: true, ...(library.pipelining === true ? { pipelining: true } : {}) },
    siblings: true,
    make: () => {
      const pools: Pool[] = []
      const driverOn = (database: TestDatabase | undefined): Driver<Tx> => {
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
          await Promise.all(pools.map((pool) => pool.end()))
        },
      })
    },
  }
}
