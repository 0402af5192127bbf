// What transactions do on a PostgreSQL that works. What happens when it does not is in driver-faults.test.ts.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { errorOf, refusal } from '../support/errors.ts'
import { createDatabase, execute, hasPostgres, type TestDatabase } from '../support/postgres.ts'
import { LIBRARIES } from './libraries.ts'
import type { LibraryOptions, Opened } from './library.ts'

/** What the database said; some libraries wrap it. */
function innermost(error: unknown): unknown {
  const { cause, original, meta, originalCode } = error as {
    cause?: unknown
    original?: unknown
    meta?: { driverAdapterError?: unknown }
    originalCode?: string
  }
  // Prisma's, which has its own codes.
  if (originalCode !== undefined) return { ...(error as object), code: originalCode }
  const below = cause ?? original ?? meta?.driverAdapterError
  return below === undefined ? error : innermost(below)
}

describe.skipIf(!hasPostgres).each(LIBRARIES)('$name', (library) => {
  let database: TestDatabase
  let elsewhere: TestDatabase
  let opened: Opened[] = []
  const isPoolHidden = library.limits?.pool === true

  const open = async (options?: LibraryOptions, on = database): Promise<Opened> => {
    const one = await library.open(on.tcp, options)
    opened.push(one)
    return one
  }
  const ids = async ({ driver }: Opened): Promise<unknown[]> =>
    (await driver.query('SELECT id FROM t ORDER BY id', [])).rows.map((row) => row['id'])

  beforeAll(async () => {
    database = await createDatabase()
    elsewhere = await createDatabase()
  })
  beforeEach(async () => {
    const checked = 'CHECK (id < 1000), UNIQUE (pair) DEFERRABLE INITIALLY DEFERRED'
    await execute(
      database.socket,
      `DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 0, pair int, ${checked})`,
    )
  })
  afterEach(async () => {
    for (const one of opened) await one.end()
    opened = []
  })
  afterAll(async () => {
    await database.drop()
    await elsewhere.drop()
  })

  describe("the user's own transaction", () => {
    test('takes statements of Tandem, which are committed with it or not at all', async () => {
      const { driver, begin, run, ...rest } = await open()
      await begin('', async (tx) => {
        expect(driver.inspect(tx)).toBe('open')
        await driver.query('INSERT INTO t (id) VALUES ($1)', [1], tx)
        await run(tx, 'INSERT INTO t (id) VALUES (2)')
      })
      const failed = begin('', async (tx) => {
        await driver.query('INSERT INTO t (id) VALUES ($1)', [3], tx)
        throw new Error('of the user')
      })
      await expect(failed).rejects.toThrow('of the user')
      expect(await ids({ driver, begin, run, ...rest })).toEqual([1, 2])
    })

    test.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])('may be %s', async (level) => {
      const { driver, begin } = await open()
      await begin(`ISOLATION LEVEL ${level}`, async (tx) => {
        const { rows } = await driver.query('SHOW transaction_isolation', [], tx)
        expect(rows).toEqual([{ transaction_isolation: level.toLowerCase() }])
      })
    })

    test('is ended after commit and after rollback, and then takes nothing', async () => {
      const one = await open()
      const { driver, begin } = one
      const committed = await begin('', (tx) => Promise.resolve(tx))
      let rolledBack: object = {}
      await errorOf(
        begin('', (tx) => {
          rolledBack = tx
          return Promise.reject(new Error('of the user'))
        }),
      )
      for (const tx of [committed, rolledBack]) {
        expect(driver.inspect(tx)).toBe('ended')
        await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (1)', [], tx))
        await refusal('TRANSACTION_ENDED', () => driver.script('INSERT INTO t (id) VALUES (1)', tx))
      }
      expect(await ids(one)).toEqual([])
    })

    test('of another database is foreign', async () => {
      const { driver } = await open()
      const other = await open({}, elsewhere)
      await other.begin('', async (tx) => {
        expect(driver.inspect(tx)).toBe('foreign')
        await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], tx))
      })
    })

    if (!isPoolHidden)
      test('of another pool on the same database is as good', async () => {
        const one = await open()
        const other = await open()
        await other.begin('', async (tx) => {
          expect(one.driver.inspect(tx)).toBe('open')
          await one.driver.query('INSERT INTO t (id) VALUES (1)', [], tx)
          expect(await ids(one)).toEqual([])
        })
        expect(await ids(one)).toEqual([1])
      })
  })

  describe('the transaction of a handler', () => {
    test('has the isolation level that the connection has as its default', async () => {
      const { driver, run } = await open({ settings: { default_transaction_isolation: 'serializable' } })
      const rows = await driver.transaction((tx) => run(tx, 'SHOW transaction_isolation'))
      expect(rows[0]).toEqual({ transaction_isolation: 'serializable' })
    })

    test.each([
      'BEGIN',
      'COMMIT',
      'END',
      'ROLLBACK',
      'SELECT 1; commit',
      '/**/ rollback work',
      "PREPARE TRANSACTION 'x'",
    ])('refuses %s', async (sql) => {
      const one = await open()
      const { driver, run } = one
      await driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await refusal('TRANSACTION_INVALID', () => run(tx, sql))
        await refusal('TRANSACTION_INVALID', () => driver.query(sql, [], tx))
        await refusal('TRANSACTION_INVALID', () => driver.script(sql, tx))
        expect(driver.inspect(tx)).toBe('open')
      })
      expect(await ids(one)).toEqual([1])
    })

    test('is refused to everybody when it has ended', async () => {
      const one = await open()
      const { driver, run } = one
      const tx = await driver.transaction((given) => Promise.resolve(given))
      const late = () => run(tx, 'INSERT INTO t (id) VALUES (1)')
      if (library.endedError === undefined) await refusal('TRANSACTION_ENDED', late)
      else await expect(late()).rejects.toThrow(library.endedError)
      expect(await ids(one)).toEqual([])
    })

    if (!isPoolHidden)
      test('may be used by a driver of another pool on the same database', async () => {
        const [one, other] = [await open(), await open()]
        const tx = await one.driver.transaction(async (given) => {
          expect(other.driver.inspect(given)).toBe('open')
          await other.driver.query('INSERT INTO t (id) VALUES (1)', [], given)
          return given
        })
        expect(other.driver.inspect(tx)).toBe('ended')
        expect(await ids(one)).toEqual([1])
      })

    test('is not committed when a statement has failed in it and the error was swallowed', async () => {
      const one = await open()
      const { driver, run } = one
      const swallowed = driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await errorOf(run(tx, 'INSERT INTO t (id) VALUES (1)'))
      })
      expect(await errorOf(swallowed)).toMatchObject({
        code: expect.stringMatching(/^(TRANSACTION_ENDED|23505)$/) as unknown,
      })
      expect(await ids(one)).toEqual([])
      // The connection works on.
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (2)'))
      expect(await ids(one)).toEqual([2])
    })

    test("passes on the library's error of a constraint that is checked at the commit", async () => {
      const one = await open()
      const { driver, run } = one
      const error = await errorOf(driver.transaction((tx) => run(tx, 'INSERT INTO t (id, pair) VALUES (1, 7), (2, 7)')))
      expect(innermost(error)).toMatchObject({ code: '23505' })
      expect(driver.classify(error)).toBe('other')
      expect(await ids(one)).toEqual([])
    })

    test('gives no lock up sooner than the database says, when no lockTimeout is asked for', async () => {
      const { driver } = await open({ settings: { lock_timeout: 12_345 } })
      const show = async (options?: { readonly lockTimeout: number }): Promise<unknown> =>
        driver.transaction(async (tx) => (await driver.query('SHOW lock_timeout', [], tx)).rows[0], options)
      expect(await show()).toEqual({ lock_timeout: '12345ms' })
      expect(await show({ lockTimeout: 45_000.5 })).toEqual({ lock_timeout: '45001ms' })
      expect(await show()).toEqual({ lock_timeout: '12345ms' })
    })
  })

  test('a lockTimeout of nothing does not wait for ever', async () => {
    const { driver, run } = await open()
    await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (1)'))
    await driver.transaction(async (tx) => {
      await run(tx, 'UPDATE t SET n = 1')
      const update = (other: object) => driver.query('UPDATE t SET n = 2', [], other)
      await refusal('STORE_BUSY', () => driver.transaction(update, { lockTimeout: 0 }))
    })
  })

  describe('savepoints and nested transactions', () => {
    test('a savepoint is rolled back alone', async () => {
      const one = await open()
      const { driver, run } = one
      await driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await run(tx, 'SAVEPOINT s')
        await run(tx, 'INSERT INTO t (id) VALUES (2)')
        await run(tx, 'ROLLBACK TO SAVEPOINT s')
        await run(tx, 'INSERT INTO t (id) VALUES (3)')
      })
      expect(await ids(one)).toEqual([1, 3])
    })

    test("a savepoint of the library's own takes statements of Tandem, which are rolled back with it", async () => {
      const one = await open()
      const { driver, begin, run, savepoint } = one
      if (savepoint === undefined) return
      const write = async (tx: object, id: number): Promise<void> => {
        await driver.query('INSERT INTO t (id) VALUES ($1)', [id], tx)
        await run(tx, `INSERT INTO t (id) VALUES (${id + 1})`)
      }
      const inIt = async (tx: object): Promise<void> => {
        await write(tx, 10)
        const inner = await savepoint(tx, async (kept) => {
          expect(driver.inspect(kept)).toBe('open')
          await write(kept, 20)
          return kept
        })
        expect(driver.inspect(inner)).toBe('ended')
        await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (99)', [], inner))
        const failed = savepoint(tx, async (lost) => {
          await write(lost, 30)
          throw new Error('of the savepoint')
        })
        await expect(failed).rejects.toThrow('of the savepoint')
        expect(driver.inspect(tx)).toBe('open')
        await write(tx, 40)
      }
      await begin('', inIt)
      expect(await ids(one)).toEqual([10, 11, 20, 21, 40, 41])
      await execute(database.socket, 'DELETE FROM t')
      await driver.transaction(inIt)
      expect(await ids(one)).toEqual([10, 11, 20, 21, 40, 41])
    })

    test('a transaction inside the work of another one is one of its own', async () => {
      const one = await open()
      const { driver, run } = one
      const failed = driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await driver.transaction((inner) => run(inner, 'INSERT INTO t (id) VALUES (2)'))
        throw new Error('of the outer one')
      })
      await expect(failed).rejects.toThrow('of the outer one')
      expect(await ids(one)).toEqual([2])
    })

    if (!isPoolHidden)
      test('with a pool of one connection it is refused, as is a read outside of the transaction', async () => {
        const one = await open({ max: 1 })
        const { driver, run } = one
        await driver.transaction(async (tx) => {
          await refusal('TRANSACTION_INVALID', () => driver.transaction((inner) => run(inner, 'SELECT 1')))
          await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', []))
          await driver.query('INSERT INTO t (id) VALUES (1)', [], tx)
        })
        expect(await ids(one)).toEqual([1])
      })

    test('close() inside a transaction is refused', async () => {
      const { driver } = await open()
      await driver.transaction(async () => {
        await refusal('LIFECYCLE', () => driver.close())
      })
    })
  })

  describe('losing against another transaction', () => {
    test('a deadlock is a conflict for one of the two', async () => {
      const one = await open({ settings: { deadlock_timeout: '10ms' } })
      const { driver, run } = one
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (1), (2)'))
      const both = Promise.withResolvers<void>()
      let arrived = 0
      const update = (tx: object, id: number) => driver.query('UPDATE t SET n = n + 1 WHERE id = $1', [id], tx)
      const cross = (first: number, second: number): Promise<unknown> =>
        driver.transaction(async (tx) => {
          await update(tx, first)
          if (++arrived === 2) both.resolve()
          await both.promise
          await update(tx, second)
        })
      const outcomes = await Promise.allSettled([cross(1, 2), cross(2, 1)])
      const [lost, ...others] = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(others).toEqual([])
      expect(lost?.reason).toMatchObject({ code: 'STORE_CONFLICT', retryable: true })
    })

    test('a serialization failure is a conflict, in a statement and at the commit', async () => {
      const one = await open({ settings: { default_transaction_isolation: 'serializable' } })
      const { driver, run } = one
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (1), (2)'))
      const read = (tx: object) => driver.query('SELECT sum(n)::int AS sum FROM t', [], tx)

      // Each reads what the other one changes: neither order of the two gives this outcome.
      const skewed = driver.transaction(async (tx) => {
        await read(tx)
        await run(tx, 'UPDATE t SET n = 1 WHERE id = 1')
        await driver.transaction(async (other) => {
          await read(other)
          await run(other, 'UPDATE t SET n = 1 WHERE id = 2')
        })
      })
      const atCommit = await errorOf(skewed)
      expect(atCommit).toMatchObject({ code: 'STORE_CONFLICT' })
      expect((atCommit as Error).message).toMatch(/committing/)
      expect(driver.classify(atCommit)).toBe('conflict')

      const overtaken = driver.transaction(async (tx) => {
        await read(tx)
        await driver.transaction((other) => run(other, 'UPDATE t SET n = 5 WHERE id = 1'))
        await driver.query('UPDATE t SET n = 6 WHERE id = 1', [], tx)
      })
      expect(await errorOf(overtaken)).toMatchObject({ code: 'STORE_CONFLICT' })

      // What the handler's own statement says is passed on as it is, and can be classified.
      const ofHandler = driver.transaction(async (tx) => {
        await read(tx)
        await driver.transaction((other) => run(other, 'UPDATE t SET n = 7 WHERE id = 1'))
        await run(tx, 'UPDATE t SET n = 8 WHERE id = 1')
      })
      const error = await errorOf(ofHandler)
      expect(innermost(error)).toMatchObject({ code: '40001' })
      expect(driver.classify(error)).toBe('conflict')
    })

    test('a statement_timeout is busy', async () => {
      const { driver } = await open({ settings: { statement_timeout: 20 } })
      await refusal('STORE_BUSY', () => driver.query('SELECT pg_sleep(10)::text AS slept', []))
      // The connection works on.
      expect((await driver.query('SELECT 1 AS one', [])).rows).toEqual([{ one: 1 }])
    })
  })

  describe('a pool that has no connection free', () => {
    test('is waited for until connectionTimeout, or lockTimeout where it is less, and no longer', async () => {
      const one = await open({ max: 1, connectionTimeout: 50 })
      const { driver, run } = one
      const holding = Promise.withResolvers<void>()
      const hold = Promise.withResolvers<void>()
      const held = driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        holding.resolve()
        await hold.promise
      })
      await holding.promise
      let begun = 0
      const work = () => Promise.resolve(begun++)
      const error = await refusal('STORE_BUSY', () => driver.transaction(work))
      expect(error.message).toMatch(isPoolHidden ? /was free for 50 ms/ : /\(it has 1\) was free for 50 ms/)
      await refusal('STORE_BUSY', () => driver.transaction(work, { lockTimeout: 10 }))
      const read = library.limits?.reads === true ? 'SELECT 1 AS one' : 'INSERT INTO t (id) VALUES (9)'
      await refusal('STORE_BUSY', () => driver.query(read, []))
      hold.resolve()
      await held
      // Those who gave up have left nothing behind that holds the connection.
      expect(await ids(one)).toEqual([1])
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (2)'))
      expect(await ids(one)).toEqual([1, 2])
      expect(begun).toBe(0)
    })
  })

  test('a database that takes no writes is unavailable', async () => {
    const { driver } = await open({ settings: { default_transaction_read_only: 'on' } })
    const write = driver.transaction((tx) => driver.query('INSERT INTO t (id) VALUES (1)', [], tx))
    await refusal('STORE_UNAVAILABLE', () => write)
  })

  test('a database that is not there is unavailable, and opening can be tried again', async () => {
    const error = await errorOf(library.open({ ...database.tcp, database: 'no_such_database' }))
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const nobody = await errorOf(library.open({ ...database.tcp, port: 1 }))
    expect(nobody).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  test('takes JSON and instants as text that is cast twice', async () => {
    const { driver } = await open()
    const { rows } = await driver.query(
      `SELECT x.a, x.b, (extract(epoch FROM $2::text::timestamptz) * 1000)::float8 AS ms
       FROM json_to_recordset($1::text::json) AS x(a int, b text)`,
      ['[{"a":1,"b":"x"},{"a":2,"b":"\\"y\\""}]', '2026-01-02T03:04:05.678Z'],
    )
    const ms = Date.parse('2026-01-02T03:04:05.678Z')
    expect(rows).toEqual([
      { a: 1, b: 'x', ms },
      { a: 2, b: '"y"', ms },
    ])
  })
})
