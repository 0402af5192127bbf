import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest'
import type { Prisma, PrismaClient } from '../../../../examples/drivers/prisma/generated/client.ts'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { prisma } from '../../src/drivers/prisma.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { errorOf, refusal } from '../support/errors.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'
import { prismaClient } from './libraries-prisma.ts'

type Tx = Prisma.TransactionClient

class Connected {
  readonly client: PrismaClient

  constructor(address: PostgresAddress) {
    this.client = prismaClient(address)
  }

  end(): Promise<void> {
    return this.client.$disconnect()
  }
}

describe.skipIf(!hasPostgres)('prisma', () => {
  const library = {
    name: 'prisma',
    connect: (address: PostgresAddress) => new Connected(address),
    driver: ({ client }: Connected) => prisma(client),
  }
  register(driverConformance(postgresConformance(library, 'tcp')), { describe, it })

  let database: TestDatabase
  let client: PrismaClient
  let driver: Driver<Tx>

  beforeAll(async () => {
    database = await createDatabase()
    client = prismaClient(database.tcp)
    driver = prisma(client)
    await driver.open({ service: 'test' })
    await execute(database.tcp, 'CREATE TABLE orders (id int PRIMARY KEY, sku text NOT NULL)')
  })
  beforeEach(() => execute(database.tcp, 'TRUNCATE orders'))
  afterAll(async () => {
    await driver.close()
    await client.$disconnect()
    await database.drop()
  })
  const ids = async (): Promise<unknown[]> =>
    (await query(database.tcp, 'SELECT id FROM orders ORDER BY id')).map((row) => row['id'])

  test("a handler writes with the user's models, and a nested transaction is a savepoint", async () => {
    await driver.transaction(async (tx) => {
      await tx.order.create({ data: { id: 1, sku: 'tea' } })
      const lost = tx.$transaction(async (inner) => {
        await inner.order.create({ data: { id: 2, sku: 'lost' } })
        await driver.query(`INSERT INTO orders (id, sku) VALUES ($1, 'lost too')`, [3], inner)
        throw new Error('of the savepoint')
      })
      await expect(lost).rejects.toThrow('of the savepoint')
      expect(await tx.order.count()).toBe(1)
      await tx.$transaction([tx.order.create({ data: { id: 4, sku: 'in a list' } })])
    })
    expect(await ids()).toEqual([1, 4])
  })

  test('a statement of a model that failed and was swallowed is not passed off as a commit', async () => {
    const swallowed = driver.transaction(async (tx) => {
      await tx.order.create({ data: { id: 1, sku: 'tea' } })
      await errorOf(tx.order.create({ data: { id: 1, sku: 'again' } }))
    })
    await refusal('TRANSACTION_ENDED', () => swallowed)
    expect(await ids()).toEqual([])
  })

  test('nor is one that nobody has waited for', async () => {
    const forgotten = driver.transaction(async (tx) => {
      await tx.order.create({ data: { id: 1, sku: 'tea' } })
      tx.order.create({ data: { id: 1, sku: 'again' } }).catch(() => undefined)
    })
    await refusal('TRANSACTION_ENDED', () => forgotten)
    expect(await ids()).toEqual([])
  })

  test('what was made in a handler and is run after it writes nothing', async () => {
    let late: Promise<unknown> | undefined
    const model = await driver.transaction(async (tx) => {
      late = tx.order.create({ data: { id: 1, sku: 'late' } })
      return Promise.resolve(tx.order)
    })
    await refusal('TRANSACTION_ENDED', () => late!)
    await refusal('TRANSACTION_ENDED', () => model.create({ data: { id: 2, sku: 'late' } }))
    expect(await ids()).toEqual([])
  })

  test('every form of SQL that would end the transaction of a handler is refused', async () => {
    await driver.transaction(async (tx) => {
      await refusal('TRANSACTION_INVALID', () => tx.$executeRaw`COMMIT`)
      await refusal('TRANSACTION_INVALID', () => tx.$queryRaw`ROLLBACK`)
      await refusal('TRANSACTION_INVALID', () => tx.$executeRawUnsafe('COMMIT'))
      await tx.$executeRaw`INSERT INTO orders (id, sku) VALUES (${1}, ${'tea'})`
    })
    expect(await ids()).toEqual([1])
  })

  test('a transaction that Prisma has ended for its own time limit says so', async () => {
    const failed = client.$transaction(
      async (tx) => {
        await driver.query('SELECT pg_sleep(0.2)::text AS slept', [], tx)
        await tx.$queryRaw`SELECT 1`.catch(() => undefined)
        throw await refusal('TRANSACTION_ENDED', () => driver.query('SELECT 1 AS one', [], tx))
      },
      { timeout: 50 },
    )
    expect(String(await errorOf(failed))).toMatch(/longer than its `timeout`/)
  })

  test('a handler is not bound by the limit of 5 seconds that Prisma has by default, nor an extended client by anything', async () => {
    const extended = client.$extends({ client: { $hello: () => 'hello' } })
    const other = prisma(extended)
    await other.open({ service: 'test' })
    await extended.$transaction(async (tx) => {
      expect([other.inspect(tx), driver.inspect(tx)]).toEqual(['open', 'open'])
      await driver.query(`INSERT INTO orders (id, sku) VALUES ($1, 'tea')`, [1], tx as unknown as Tx)
    })
    await other.transaction(async (tx) => {
      expect(tx.$hello()).toBe('hello')
      await tx.order.create({ data: { id: 2, sku: 'tea' } })
    })
    expect(await ids()).toEqual([1, 2])
  })

  test('the client itself is no transaction', async () => {
    expect(driver.inspect(client)).toBe('foreign')
    await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], client))
  })
})
