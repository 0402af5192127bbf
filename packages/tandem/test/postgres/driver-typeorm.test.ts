import { EntitySchema, type DataSource } from 'typeorm'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { typeorm } from '../../src/drivers/typeorm.ts'
import { errorOf, refusal } from '../support/errors.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { createDatabase, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'
import { typeormSource } from './libraries-typeorm.ts'

/** A data source, which is initialized when the driver opens. */
class Connected {
  readonly source: DataSource

  constructor(address: PostgresAddress) {
    this.source = typeormSource(address)
  }

  async end(): Promise<void> {
    await this.source.destroy()
  }
}

describe.skipIf(!hasPostgres)('typeorm', () => {
  const library = {
    name: 'typeorm',
    connect: (address: PostgresAddress) => new Connected(address),
    driver: ({ source }: Connected) => {
      const driver = typeorm(source)
      const open = driver.open.bind(driver)
      driver.open = async (context) => {
        if (!source.isInitialized) await source.initialize()
        await open(context)
      }
      return driver
    },
  }
  register(driverConformance(postgresConformance(library, 'tcp')), { describe, it })

  const events: string[] = []
  const Stock = new EntitySchema<{ sku: string; reserved: number }>({
    name: 'stock',
    columns: { sku: { type: 'text', primary: true }, reserved: { type: 'int' } },
  })
  let database: TestDatabase
  let source: DataSource
  let logged: string[] = []

  beforeAll(async () => {
    database = await createDatabase()
    source = typeormSource(database.tcp).setOptions({
      entities: [Stock],
      synchronize: true,
      logger: {
        logQuery: (sql, parameters) => logged.push(`${sql} ${JSON.stringify(parameters)}`),
        logQueryError: () => undefined,
        logQuerySlow: () => undefined,
        logSchemaBuild: () => undefined,
        logMigration: () => undefined,
        log: () => undefined,
      },
    })
  })
  afterAll(async () => {
    if (source.isInitialized) await source.destroy()
    await database.drop()
  })

  test('has to be initialized when it is opened, and not before', async () => {
    const driver = typeorm(source)
    await refusal('LIFECYCLE', () => driver.open({ service: 'test' }))
    await source.initialize()
    await driver.open({ service: 'test' })
    expect((await driver.query('SELECT 1 AS one', [])).rows).toEqual([{ one: 1 }])
  })

  test("a handler writes with the user's entities, and nested transactions are savepoints of the same manager", async () => {
    const driver = typeorm(source)
    await driver.open({ service: 'test' })
    await driver.transaction(async (tx) => {
      await tx.insert(Stock, { sku: 'tea', reserved: 1 })
      const lost = tx.transaction(async (inner) => {
        await inner.insert(Stock, { sku: 'lost', reserved: 1 })
        await driver.query(`INSERT INTO stock (sku, reserved) VALUES ($1, 0)`, ['lost too'], inner)
        throw new Error('of the savepoint')
      })
      await expect(lost).rejects.toThrow('of the savepoint')
      await tx.getRepository(Stock).increment({ sku: 'tea' }, 'reserved', 2)
      expect(driver.inspect(tx.queryRunner)).toBe('open')
    })
    expect(await query(database.tcp, 'SELECT * FROM stock')).toEqual([{ sku: 'tea', reserved: 3 }])
  })

  test('the manager outside of a transaction and a runner without one are none', async () => {
    const driver = typeorm(source)
    await driver.open({ service: 'test' })
    expect(driver.inspect(source.manager)).toBe('foreign')
    const runner = source.createQueryRunner()
    await runner.query('SELECT 1')
    await refusal('TRANSACTION_ENDED', () => driver.query('SELECT 1 AS one', [], runner.manager))
    await runner.startTransaction()
    expect(driver.inspect(runner.manager)).toBe('open')
    await runner.commitTransaction()
    await runner.release()
    await refusal('TRANSACTION_ENDED', () => driver.query('SELECT 1 AS one', [], runner.manager))
  })

  test("Tandem's statements and what is in them do not get into the query log", async () => {
    const driver = typeorm(source)
    await driver.open({ service: 'test' })
    logged = []
    await source.transaction(async (tx) => {
      await driver.query('SELECT $1::text AS secret', ['card number'], tx)
      await tx.query('SELECT 1')
    })
    expect(logged).toContain('SELECT 1 undefined')
    expect(logged.join()).not.toContain('card number')
  })

  test('subscribers hear of a commit when it is one', async () => {
    const other = typeormSource(database.tcp)
    await other.initialize()
    other.subscribers.push({
      afterTransactionCommit: async () => {
        events.push(`committed ${(await query(database.tcp, `SELECT 1 FROM stock WHERE sku = 'heard'`)).length}`)
      },
      afterTransactionRollback: () => void events.push('rolled back'),
    })
    const driver = typeorm(other)
    await driver.open({ service: 'test' })
    const insert = `INSERT INTO stock (sku, reserved) VALUES ('heard', 0)`
    await driver.transaction((tx) => tx.query(insert))
    await errorOf(driver.transaction((tx) => tx.query(insert)))
    expect(events).toEqual(['committed 1', 'rolled back'])
    await other.destroy()
  })
})
