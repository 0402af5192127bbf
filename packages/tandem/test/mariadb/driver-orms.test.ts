// The ORMs on MariaDB: the suite of the drivers, and the user's own transactions.
import type { Sequelize } from 'sequelize'
import type { DataSource } from 'typeorm'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { sequelize } from '../../src/drivers/sequelize.ts'
import { typeorm } from '../../src/drivers/typeorm.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { errorOf, refusal } from '../support/errors.ts'
import { createMariadb, executeMariadb, hasMariadb, queryMariadb, type TestMariadb } from '../support/mariadb.ts'
import { mariadbConformance } from './driver-fixture.ts'
import { mariadbSequelize, sequelizeLibrary } from './libraries-sequelize.ts'
import { mariadbSource, typeormLibrary } from './libraries-typeorm.ts'

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

describe.skipIf(!hasMariadb).each([sequelizeLibrary, typeormLibrary])('$name on MariaDB', (library) => {
  let database: TestMariadb

  beforeAll(async () => {
    database = await createMariadb()
    await executeMariadb(database.socket, 'CREATE TABLE t (id int PRIMARY KEY)')
  })
  afterAll(() => database.drop())

  test("the user's own transaction takes statements of Tandem, which are committed with it or not at all", async () => {
    const { driver, begin, run, end } = await library.open(database.tcp)
    const committed = await begin('READ COMMITTED', async (tx) => {
      expect(driver.inspect(tx)).toBe('open')
      await driver.query('INSERT INTO t (id) VALUES (?)', [1], tx)
      await run(tx, 'INSERT INTO t (id) VALUES (2)')
      return tx
    })
    const failed = begin('', async (tx) => {
      await driver.query('INSERT INTO t (id) VALUES (?)', [3], tx)
      throw new Error('of the user')
    })
    expect(String(await errorOf(failed))).toMatch(/of the user/)
    await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (?)', [4], committed))
    expect(await queryMariadb(database.socket, 'SELECT id FROM t ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }])
    await end()
  })

  test('the transaction of a handler is not ended by anything but Tandem', async () => {
    const { driver, run, end } = await library.open(database.tcp)
    await driver.transaction(async (tx) => {
      await run(tx, 'INSERT INTO t (id) VALUES (10)')
      await refusal('TRANSACTION_INVALID', () => run(tx, 'COMMIT'))
      expect(driver.inspect(tx)).toBe('open')
    })
    expect(await queryMariadb(database.socket, 'SELECT id FROM t WHERE id = 10')).toEqual([{ id: 10 }])
    await end()
  })
})
