// What transactions of drizzle and knex do on MariaDB, beyond what every driver must do.
import { sql, type SQL } from 'drizzle-orm'
import { drizzle as connectDrizzle } from 'drizzle-orm/mysql2'
import createKnex, { type Knex } from 'knex'
import { createPool } from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { drizzle } from '../../src/drivers/drizzle.ts'
import { knex } from '../../src/drivers/knex.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { errorOf, refusal } from '../support/errors.ts'
import { createMariadb, executeMariadb, hasMariadb, queryMariadb, type TestMariadb } from '../support/mariadb.ts'

interface Opened {
  readonly driver: Driver<object>
  run(tx: object, text: string): Promise<unknown>
  begin(level: string | undefined, work: (tx: object) => Promise<void>): Promise<unknown>
  nest(tx: object, work: (tx: object) => Promise<void>): Promise<unknown>
  end(): Promise<unknown>
}

interface DrizzleLike {
  execute(query: SQL): PromiseLike<unknown>
  transaction(work: (tx: object) => Promise<void>, options?: object): Promise<unknown>
}

const LIBRARIES = [
  {
    name: 'drizzle',
    open: (address: MariadbAddress): Opened => {
      const pool = createPool({ ...address, connectionLimit: 3 })
      const db = connectDrizzle({ client: pool })
      const own = db as unknown as DrizzleLike
      return {
        driver: drizzle(db),
        run: async (tx, text) => (tx as DrizzleLike).execute(sql.raw(text)),
        begin: (level, work) => own.transaction(work, level === undefined ? undefined : { isolationLevel: level }),
        nest: (tx, work) => (tx as DrizzleLike).transaction(work),
        end: () => pool.end(),
      }
    },
  },
  {
    name: 'knex',
    open: (address: MariadbAddress): Opened => {
      const db = createKnex({ client: 'mysql2', connection: { ...address }, pool: { min: 0, max: 3 } })
      type Level = NonNullable<Knex.TransactionConfig['isolationLevel']>
      return {
        driver: knex(db) as Driver<object>,
        run: async (tx, text): Promise<unknown> => (tx as Knex.Transaction).raw(text),
        begin: (level, work) =>
          db.transaction((trx) => work(trx), level === undefined ? {} : { isolationLevel: level as Level }),
        nest: (tx, work) => (tx as Knex.Transaction).transaction((inner) => work(inner)),
        end: () => db.destroy(),
      }
    },
  },
]

describe.skipIf(!hasMariadb).each(LIBRARIES)('$name over mysql2', (library) => {
  let database: TestMariadb
  let elsewhere: TestMariadb
  let opened: Opened[] = []
  const open = async (on = database): Promise<Opened> => {
    const one = library.open(on.tcp)
    opened.push(one)
    await one.driver.open({ service: 'test' })
    return one
  }
  const ids = async (): Promise<unknown[]> =>
    (await queryMariadb(database.socket, 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])
  const insert = ({ driver }: Opened, tx: object, id: number) => driver.query('INSERT INTO t (id) VALUES (?)', [id], tx)

  beforeAll(async () => {
    database = await createMariadb()
    elsewhere = await createMariadb()
  })
  beforeEach(() =>
    executeMariadb(database.socket, 'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB'),
  )
  afterEach(async () => {
    for (const one of opened) {
      await one.driver.close()
      await one.end()
    }
    opened = []
  })
  afterAll(async () => {
    await database.drop()
    await elsewhere.drop()
  })

  test("the user's own takes statements of Tandem, commits or rolls back with them, and then takes nothing", async () => {
    const one = await open()
    const { driver, begin, run } = one
    let committed: object = {}
    let rolledBack: object = {}
    await begin(undefined, async (tx) => {
      committed = tx
      expect(driver.inspect(tx)).toBe('open')
      await insert(one, tx, 1)
      await run(tx, 'INSERT INTO t (id) VALUES (2)')
    })
    const failed = begin(undefined, async (tx) => {
      rolledBack = tx
      await insert(one, tx, 3)
      throw new Error('of the user')
    })
    await expect(failed).rejects.toThrow('of the user')
    for (const tx of [committed, rolledBack]) {
      expect(driver.inspect(tx)).toBe('ended')
      await refusal('TRANSACTION_ENDED', () => insert(one, tx, 9))
    }
    expect(await ids()).toEqual([1, 2])
  })

  test.each(['read committed', 'repeatable read', 'serializable'])('may be %s', async (level) => {
    const { driver, begin } = await open()
    const count = async (tx: object): Promise<number> =>
      Number((await driver.query('SELECT count(*) AS n FROM t', [], tx)).rows[0]?.['n'])
    await begin(level, async (tx) => {
      expect(await count(tx)).toBe(0)
      const other = driver.transaction((its) => driver.query('INSERT INTO t (id) VALUES (2)', [], its), {
        lockTimeout: 1000,
      })
      if (level === 'serializable') await refusal('STORE_BUSY', () => other)
      else await other
      expect(await count(tx)).toBe(level === 'read committed' ? 1 : 0)
    })
  })

  test('of another database is foreign', async () => {
    const { driver } = await open()
    const other = await open(elsewhere)
    await other.begin(undefined, async (tx) => {
      expect(driver.inspect(tx)).toBe('foreign')
      await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], tx))
    })
  })

  test('a nested transaction is a savepoint, in one of the user as in that of a handler', async () => {
    const one = await open()
    const { driver, begin, nest } = one
    const work =
      (first: number) =>
      async (tx: object): Promise<void> => {
        await insert(one, tx, first)
        await nest(tx, async (kept) => void (await insert(one, kept, first + 1)))
        const lost = nest(tx, async (inner) => {
          await insert(one, inner, first + 2)
          throw new Error('of the savepoint')
        })
        await expect(lost).rejects.toThrow('of the savepoint')
        await insert(one, tx, first + 3)
      }
    await begin(undefined, work(10))
    await driver.transaction(work(20))
    expect(await ids()).toEqual([10, 11, 13, 20, 21, 23])
  })

  test('that of a handler refuses what would end it, and stays open', async () => {
    const one = await open()
    const { driver, run } = one
    await driver.transaction(async (tx) => {
      for (const text of ['COMMIT', 'ROLLBACK', 'START TRANSACTION', 'CREATE TABLE u (id int)']) {
        const error = (await errorOf(run(tx, text))) as Error
        expect(error.cause ?? error).toMatchObject({ code: 'TRANSACTION_INVALID' })
        expect(driver.inspect(tx)).toBe('open')
      }
      await insert(one, tx, 1)
    })
    expect(await ids()).toEqual([1])
  })

  test('an error of a statement that loses against another transaction is found below those that wrap it', async () => {
    const one = await open()
    const { driver, run } = one
    await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (1)')
    await driver.transaction(async (tx) => {
      await run(tx, 'DELETE FROM t WHERE id = 1')
      const blocked = driver.transaction((other) => run(other, 'SELECT id FROM t WHERE id = 1 FOR UPDATE'), {
        lockTimeout: 1000,
      })
      expect(driver.classify(await errorOf(blocked))).toBe('busy')
    })
  })
})
