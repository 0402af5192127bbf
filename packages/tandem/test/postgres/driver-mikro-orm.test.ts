import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { mikroOrm } from '../../src/drivers/mikro-orm.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { refusal } from '../support/errors.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'
import { Orders, postgresMikroOrm } from './libraries-mikro-orm.ts'

class Connected {
  readonly orm: MikroORM

  constructor(address: PostgresAddress) {
    this.orm = postgresMikroOrm(address)
  }

  end(): Promise<void> {
    return this.orm.close()
  }
}

describe.skipIf(!hasPostgres)('mikro-orm', () => {
  const library = {
    name: 'mikro-orm',
    connect: (address: PostgresAddress) => new Connected(address),
    driver: ({ orm }: Connected) => mikroOrm(orm.em as EntityManager),
  }
  register(driverConformance(postgresConformance(library, 'tcp')), { describe, it })

  let database: TestDatabase
  let orm: MikroORM
  let driver: Driver<EntityManager>

  beforeAll(async () => {
    database = await createDatabase()
    orm = postgresMikroOrm(database.tcp)
    driver = mikroOrm(orm.em as EntityManager)
    await driver.open({ service: 'test' })
    await execute(database.tcp, 'CREATE TABLE orders (id int PRIMARY KEY, sku text)')
  })
  afterAll(async () => {
    await driver.close()
    await orm.close()
    await database.drop()
  })

  test('what a handler changes is flushed before the commit, and after a rollback nothing is', async () => {
    await driver.transaction(async (tx) => {
      tx.create(Orders, { id: 1, sku: 'tea' })
      await Promise.resolve()
    })
    const failed = driver.transaction(async (tx) => {
      tx.create(Orders, { id: 2, sku: 'tea' })
      await tx.flush()
      throw new Error('of the work')
    })
    await expect(failed).rejects.toThrow('of the work')
    expect(await query(database.tcp, 'SELECT id, sku FROM orders')).toEqual([{ id: 1, sku: 'tea' }])
  })

  test('a fork on which begin was called is a transaction, and one without is none', async () => {
    const em = orm.em.fork() as EntityManager
    expect(driver.inspect(em)).toBe('foreign')
    await em.begin()
    expect(driver.inspect(em)).toBe('open')
    await em.rollback()
    await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], em))
  })

  test('close() waits for a connection that comes too late, so that the ORM can be closed after it', async () => {
    const other = postgresMikroOrm(database.tcp)
    const late = mikroOrm(other.em as EntityManager, { connectionTimeout: 1000 })
    await late.open({ service: 'test' })
    await late.transaction(async () => {
      await refusal('STORE_BUSY', () => late.transaction(() => Promise.resolve(), { lockTimeout: 0 }))
    })
    await late.close()
    await other.close()
  })
})
