// drizzle over better-sqlite3.
import Database from 'better-sqlite3'
import { sql } from 'drizzle-orm'
import { drizzle as connect } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable } from 'drizzle-orm/sqlite-core'
import { describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { drizzle } from '../../src/drivers/drizzle.ts'
import { refusal } from '../support/errors.ts'
import { sqliteConformance } from './sqlite-fixture.ts'

for (const where of ['file', 'memory'] as const) {
  const variant = {
    name: 'drizzle over better-sqlite3',
    connect: (file: string) => new Database(file),
    driver: (source: { connect: () => Database.Database }) =>
      drizzle(connect({ client: source.connect(), casing: 'snake_case' })),
  }
  register(driverConformance(sqliteConformance(variant, where)), { describe, it })
}

describe('transactions', () => {
  const t = sqliteTable('t', { id: integer().primaryKey() })
  const setUp = async () => {
    const client = new Database(':memory:')
    client.exec('CREATE TABLE t (id integer PRIMARY KEY)')
    const db = connect({ client, schema: { t } })
    const driver = drizzle(db)
    await driver.open({ service: 'test' })
    const ids = (): number[] =>
      db
        .select()
        .from(t)
        .all()
        .map(({ id }) => id)
    return { db, driver, ids }
  }

  test('that of a handler is one of drizzle, and commits or rolls back with the statements of Tandem', async () => {
    const { driver, ids } = await setUp()
    await driver.transaction(async (tx) => {
      tx.insert(t).values({ id: 1 }).run()
      await driver.query('INSERT INTO t (id) VALUES (?)', [2], tx)
      expect(tx.query.t.findMany().sync()).toEqual([{ id: 1 }, { id: 2 }])
    })
    const failed = driver.transaction(async (tx) => {
      await tx.insert(t).values({ id: 3 })
      throw new Error('of the handler')
    })
    await expect(failed).rejects.toThrow('of the handler')
    expect(ids()).toEqual([1, 2])
  })

  test('refuses what would end it, and everything once it has ended', async () => {
    const { driver, ids } = await setUp()
    const tx = await driver.transaction(async (given) => {
      for (const statement of [sql`COMMIT`, 'ROLLBACK', sql.raw('BEGIN')]) {
        await refusal('TRANSACTION_INVALID', async () => given.run(statement))
      }
      await given.insert(t).values({ id: 1 })
      return given
    })
    expect(driver.inspect(tx)).toBe('ended')
    await refusal('TRANSACTION_ENDED', async () => tx.insert(t).values({ id: 2 }).run())
    expect(ids()).toEqual([1])
  })

  test('a savepoint may be asynchronous, takes statements of Tandem, and is rolled back with them', async () => {
    const { driver, ids } = await setUp()
    type Tx = Parameters<Parameters<typeof driver.transaction>[0]>[0]
    const write = async (tx: Tx, id: number): Promise<void> => {
      await tx.insert(t).values({ id })
      await driver.query('INSERT INTO t (id) VALUES (?)', [id + 1], tx)
    }
    await driver.transaction(async (tx) => {
      await write(tx, 10)
      const ended = await tx.transaction(async (kept) => {
        await write(kept, 20)
        return kept
      })
      expect(driver.inspect(ended)).toBe('ended')
      await refusal('TRANSACTION_ENDED', () => write(ended, 90))
      const failed = tx.transaction(async (lost) => {
        await write(lost, 30)
        throw new Error('of the savepoint')
      }) as unknown as Promise<void>
      await expect(failed).rejects.toThrow('of the savepoint')
    })
    expect(ids()).toEqual([10, 11, 20, 21])
  })

  test("drizzle's own are synchronous, and refused with what to do", async () => {
    const { db, driver } = await setUp()
    db.transaction((tx) => {
      expect(driver.inspect(tx)).toBe('foreign')
      tx.insert(t).values({ id: 1 }).run()
    })
    let own: unknown
    db.transaction((tx) => {
      own = tx
    })
    const error = await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], own as never))
    expect(error.message).toMatch(/tandem\.transaction\(/)
  })
})
