// The ORMs on MariaDB. What is the same in all of them is in driver-transactions.test.ts and driver-faults.test.ts.
import type { Sequelize } from 'sequelize'
import type { DataSource } from 'typeorm'
import { describe, it } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { sequelize } from '../../src/drivers/sequelize.ts'
import { typeorm } from '../../src/drivers/typeorm.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { hasMariadb } from '../support/mariadb.ts'
import { mariadbConformance } from './driver-fixture.ts'
import { mariadbSequelize } from './libraries-sequelize.ts'
import { mariadbSource } from './libraries-typeorm.ts'

interface Connected<T> {
  readonly of: T
  end(): Promise<unknown>
}

describe.skipIf(!hasMariadb)('ORMs on MariaDB', () => {
  const sequelizeOptions = {
    name: 'sequelize',
    connect: (address: MariadbAddress): Connected<Sequelize> => {
      const of = mariadbSequelize(address)
      return { of, end: () => of.close() }
    },
    driver: ({ of }: Connected<Sequelize>) => sequelize(of),
  }
  register(driverConformance(mariadbConformance(sequelizeOptions, 'tcp')), { describe, it })

  const typeormOptions = {
    name: 'typeorm',
    connect: (address: MariadbAddress): Connected<DataSource> => {
      const of = mariadbSource(address)
      return { of, end: () => of.destroy() }
    },
    driver: ({ of }: Connected<DataSource>) => {
      const driver = typeorm(of)
      const open = driver.open.bind(driver)
      driver.open = async (context) => {
        if (!of.isInitialized) await of.initialize()
        await open(context)
      }
      return driver
    },
  }
  register(driverConformance(mariadbConformance(typeormOptions, 'tcp')), { describe, it })
})
