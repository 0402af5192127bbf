import { Sequelize, type Transaction } from 'sequelize'
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { sequelize } from '../../src/drivers/sequelize.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { errorOf, refusal } from '../support/errors.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'
import { postgresConformance } from './driver-fixture.ts'
import { postgresSequelize } from './libraries-sequelize.ts'

class Connected {
  readonly db: Sequelize

  constructor(address: PostgresAddress) {
    this.db = postgresSequelize(address)
  }

  end(): Promise<void> {
    return this.db.close()
  }
}

describe.skipIf(!hasPostgres)('sequelize', () => {
  const library = {
    name: 'sequelize',
    connect: (address: PostgresAddress) => new Connected(address),
    driver: ({ db }: Connected) => sequelize(db),
  }
  register(driverConformance(postgresConformance(library, 'tcp')), { describe, it })

  const logged: string[] = []
  let database: TestDatabase
  let db: Sequelize
  let driver: Driver<Transaction>

  beforeAll(async () => {
    database = await createDatabase()
    db = postgresSequelize(database.tcp)
    Object.assign((db as unknown as { options: object }).options, { logging: (sql: string) => logged.push(sql) })
    driver = sequelize(db)
    await driver.open({ service: 'test' })
    await execute(database.tcp, 'CREATE TABLE orders (id int PRIMARY KEY)')
  })
  beforeEach(() => execute(database.tcp, 'TRUNCATE orders'))
  afterAll(async () => {
    await driver.close()
    await db.close()
    await database.drop()
  })
  const ids = async (): Promise<unknown[]> =>
    (await query(database.tcp, 'SELECT id FROM orders ORDER BY id')).map((row) => row['id'])
  const insert = (id: number, transaction: Transaction | null): Promise<unknown> =>
    db.query(`INSERT INTO orders VALUES (${id})`, { transaction })

  test('a transaction that is ended by hand, and one that has not begun', async () => {
    const tx = await db.transaction()
    await driver.query('INSERT INTO orders VALUES ($1)', [1], tx)
    expect(driver.inspect(tx)).toBe('open')
    await tx.commit()
    await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO orders VALUES ($1)', [2], tx))
    expect(await ids()).toEqual([1])
    const { Transaction: Class } = Sequelize as unknown as {
      Transaction: new (of: Sequelize, options: object) => Transaction
    }
    await refusal('TRANSACTION_ENDED', () => driver.query('SELECT 1 AS one', [], new Class(db, {})))
  })

  test('afterCommit is called when the database has committed, and not after a rollback', async () => {
    const seen: unknown[] = []
    await driver.transaction(async (tx) => {
      tx.afterCommit(async () => void seen.push(await ids()))
      await insert(1, tx)
    })
    const failed = driver.transaction(async (tx) => {
      tx.afterCommit(() => void seen.push('never'))
      await insert(1, tx)
    })
    await errorOf(failed)
    expect(seen).toEqual([[1]])
  })

  test("Tandem's statements and what is in them do not get into the log", async () => {
    await db.transaction(async (tx) => {
      await driver.query('SELECT $1::text AS secret', ['card number'], tx)
      await insert(1, tx)
    })
    expect(logged.join()).toContain('INSERT INTO orders')
    expect(logged.join()).not.toContain('card number')
    expect(logged.join()).not.toContain('secret')
  })

  test('the connection of a handler goes back to the pool as it was', async () => {
    const single = postgresSequelize(database.tcp, { max: 1 })
    const other = sequelize(single)
    await other.open({ service: 'test' })
    for (const id of [1, 2])
      await other.transaction((tx) => single.query(`INSERT INTO orders VALUES (${id})`, { transaction: tx }))
    await errorOf(other.transaction(() => Promise.reject(new Error('of the work'))))
    await single.transaction((tx) => single.query('INSERT INTO orders VALUES (3)', { transaction: tx }))
    expect(await ids()).toEqual([1, 2, 3])
    await single.close()
  })
})
