// PGlite is a driver of its own: PostgreSQL with one connection, inside the process. It does not stand in for a server.
import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/case.ts'
import { driverConformance } from '../../src/conformance/driver.ts'
import { pglite } from '../../src/drivers/pglite.ts'
import { errorOf, refusal } from '../support/errors.ts'

/** With what users set: other values for the types. */
const parsers = { 20: BigInt, 23: (value: string) => ({ value }), 25: (value: string) => value.toUpperCase() }
let here: PGlite
let elsewhere: PGlite

// They are slow to start, and have room for the tables of all cases.
beforeAll(async () => {
  ;[here, elsewhere] = await Promise.all([PGlite.create({ parsers }), PGlite.create({ parsers })])
}, 60_000)
afterAll(async () => {
  await Promise.all([here.close(), elsewhere.close()])
})

register(
  driverConformance({
    name: 'pglite',
    dialect: 'postgres',
    capabilities: { concurrentTransactions: false },
    siblings: false,
    make: () =>
      Promise.resolve({
        driver: pglite(here),
        sibling: undefined,
        stranger: pglite(elsewhere),
        dispose: () => Promise.resolve(),
      }),
  }),
  { describe, it },
)

describe('transactions', () => {
  const setUp = async (): Promise<ReturnType<typeof pglite<PGlite>>> => {
    const driver = pglite(here)
    await driver.open({ service: 'test' })
    await here.exec('DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY CHECK (id < 100))')
    return driver
  }
  const insert = (driver: ReturnType<typeof pglite<PGlite>>, tx: never, id: number) =>
    driver.query('INSERT INTO t (id) VALUES ($1)', [id], tx)
  const ids = async (): Promise<unknown[]> =>
    (await here.query<{ id: string }>('SELECT id::text AS id FROM t ORDER BY t.id')).rows.map(({ id }) => id)

  test("the user's own takes statements of Tandem, which are committed with it or not at all", async () => {
    const driver = await setUp()
    const ended = await here.transaction(async (tx) => {
      expect(driver.inspect(tx)).toBe('open')
      await insert(driver, tx as never, 1)
      return tx
    })
    const failed = here.transaction(async (tx) => {
      await insert(driver, tx as never, 2)
      throw new Error('of the user')
    })
    await expect(failed).rejects.toThrow('of the user')
    const rolledBack = await here.transaction(async (tx) => {
      await insert(driver, tx as never, 3)
      await tx.rollback()
      return tx
    })
    for (const tx of [ended, rolledBack]) {
      expect(driver.inspect(tx)).toBe('ended')
      await refusal('TRANSACTION_ENDED', () => insert(driver, tx as never, 9))
    }
    expect(await ids()).toEqual(['1'])
  })

  test('a savepoint is rolled back alone', async () => {
    const driver = await setUp()
    await here.transaction(async (tx) => {
      await insert(driver, tx as never, 1)
      await tx.exec('SAVEPOINT s')
      await insert(driver, tx as never, 2)
      await tx.exec('ROLLBACK TO SAVEPOINT s')
    })
    expect(await ids()).toEqual(['1'])
  })

  test('that of a handler refuses what would end it, and is not committed when a statement has failed in it', async () => {
    const driver = await setUp()
    await driver.transaction(async (tx) => {
      await tx.query('INSERT INTO t (id) VALUES (1)')
      for (const run of [() => tx.exec('COMMIT'), () => tx.sql`ROLLBACK`, () => tx.rollback()]) {
        await refusal('TRANSACTION_INVALID', run)
      }
    })
    const swallowed = driver.transaction(async (tx) => {
      await tx.query('INSERT INTO t (id) VALUES (2)')
      await errorOf(tx.query('INSERT INTO t (id) VALUES (2)'))
    })
    expect(await errorOf(swallowed)).toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await ids()).toEqual(['1'])
  })

  test('has the isolation level that it was begun with', async () => {
    const driver = await setUp()
    for (const level of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
      await here.transaction(async (tx) => {
        await tx.exec(`SET TRANSACTION ISOLATION LEVEL ${level}`)
        const { rows } = await driver.query('SHOW transaction_isolation', [], tx)
        expect(rows).toEqual([{ transaction_isolation: level.toLowerCase() }])
      })
    }
  })

  test('waits for one of the user until connectionTimeout, and no longer', async () => {
    await setUp()
    const driver = pglite(here, { connectionTimeout: 50 })
    await driver.open({ service: 'test' })
    const begun = Promise.withResolvers<void>()
    const hold = Promise.withResolvers<void>()
    const held = here.transaction(async () => {
      begun.resolve()
      await hold.promise
    })
    await begun.promise
    await refusal('STORE_BUSY', () => driver.transaction((tx) => tx.query('INSERT INTO t (id) VALUES (1)')))
    await refusal('STORE_BUSY', () => driver.query('SELECT 1 AS one', []))
    hold.resolve()
    await held
    await driver.transaction((tx) => tx.query('INSERT INTO t (id) VALUES (2)'))
    expect(await ids()).toEqual(['2'])
  })
})

test('an instance that is closed is unavailable', async () => {
  const db = await PGlite.create()
  const driver = pglite(db)
  await driver.open({ service: 'test' })
  await db.close()
  await refusal('STORE_UNAVAILABLE', () => driver.query('SELECT 1 AS one', []))
  await refusal('STORE_UNAVAILABLE', () => driver.transaction((tx) => tx.query('SELECT 1')))
}, 60_000)
