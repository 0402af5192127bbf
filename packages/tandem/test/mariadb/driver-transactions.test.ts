// What transactions do on a MariaDB that works. What happens when it does not is in driver-faults.test.ts.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../support/clock.ts'
import { errorOf, refusal } from '../support/errors.ts'
import { createMariadb, executeMariadb, hasMariadb, queryMariadb, type TestMariadb } from '../support/mariadb.ts'
import { LIBRARIES, type LibraryOptions, type Opened } from './libraries.ts'

const SETTINGS = 'SELECT @@innodb_lock_wait_timeout AS rows_, @@lock_wait_timeout AS tables_'

describe.skipIf(!hasMariadb).each(LIBRARIES)('$name', (library) => {
  let database: TestMariadb
  let elsewhere: TestMariadb
  let opened: Opened[] = []

  const open = async (options?: LibraryOptions, on = database): Promise<Opened> => {
    const one = await library.open(on.tcp, options)
    opened.push(one)
    return one
  }
  /** By somebody else. */
  const ids = async (): Promise<unknown[]> =>
    (await queryMariadb(database.socket, 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])
  /** Runs two transactions into a deadlock, with `lose` in the first one after the error of its statement. */
  const deadlock = async (
    { driver, run }: Opened,
    lose: (tx: object, error: unknown) => Promise<void>,
    transaction: (work: (tx: object) => Promise<void>) => Promise<void> = (work) => driver.transaction(work),
  ): Promise<PromiseSettledResult<void>> => {
    await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (901), (902), (903), (904), (905), (906)')
    const both = Promise.withResolvers<void>()
    let arrived = 0
    const update = (tx: object, id: number): Promise<unknown> => run(tx, `UPDATE t SET n = n + 1 WHERE id = ${id}`)
    const meet = (): Promise<void> => {
      if (++arrived === 2) both.resolve()
      return both.promise
    }
    const [first, second] = await Promise.allSettled([
      transaction(async (tx) => {
        await update(tx, 901)
        await meet()
        const error = await update(tx, 902).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        if (error === undefined) throw new Error('the other one was to win')
        await lose(tx, error)
      }),
      driver.transaction(async (tx) => {
        // More work than the other one: the server gives up the one that has done less.
        for (const id of [903, 904, 905, 906, 902]) await update(tx, id)
        await meet()
        await update(tx, 901)
      }),
    ])
    expect(second).toMatchObject({ status: 'fulfilled' })
    return first
  }

  beforeAll(async () => {
    database = await createMariadb()
    elsewhere = await createMariadb()
  })
  beforeEach(async () => {
    await executeMariadb(
      database.socket,
      'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 0, CHECK (id < 1000))',
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
      const { driver, begin, run } = await open()
      await begin('', async (tx) => {
        expect(driver.inspect(tx)).toBe('open')
        await driver.query('INSERT INTO t (id) VALUES (?)', [1], tx)
        await run(tx, 'INSERT INTO t (id) VALUES (2)')
      })
      const failed = begin('', async (tx) => {
        await driver.query('INSERT INTO t (id) VALUES (?)', [3], tx)
        throw new Error('of the user')
      })
      await expect(failed).rejects.toThrow('of the user')
      expect(await ids()).toEqual([1, 2])
    })

    test.each(['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])('may be %s', async (level) => {
      const { driver, begin } = await open()
      await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (1)')
      const count = async (tx: object): Promise<number> =>
        Number((await driver.query('SELECT count(*) AS n FROM t', [], tx)).rows[0]?.['n'])
      await begin(level, async (tx) => {
        expect(await count(tx)).toBe(1)
        const other = driver.transaction((its) => driver.query('INSERT INTO t (id) VALUES (2)', [], its), {
          lockTimeout: 1000,
        })
        if (level === 'SERIALIZABLE') await refusal('STORE_BUSY', () => other)
        else await other
        expect(await count(tx)).toBe(level.startsWith('READ ') ? 2 : 1)
      })
    })

    test('is ended after commit and after rollback, and then takes nothing', async () => {
      const { driver, begin } = await open()
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
      expect(await ids()).toEqual([])
    })

    test('is ended by a statement that commits by itself', async () => {
      const { driver, begin, run } = await open()
      await begin('', async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await run(tx, 'CREATE TABLE IF NOT EXISTS made_in_between (id int)')
        expect(driver.inspect(tx)).toBe('ended')
        await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (2)', [], tx))
      })
      expect(await ids()).toEqual([1])
    })

    test('is ended by a deadlock, whoever swallows its error', async () => {
      const one = await open()
      const { driver, begin } = one
      const first = await deadlock(
        one,
        async (tx) => {
          expect(driver.inspect(tx)).toBe('ended')
          await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (1)', [], tx))
        },
        (work) => begin('', work),
      )
      expect(first).toMatchObject({ status: 'fulfilled' })
      expect(await ids()).not.toContain(1)
    })

    test('goes on after a lock that was not given in time, and after a constraint that was not kept', async () => {
      const { driver, begin, run } = await open({ settings: { innodb_lock_wait_timeout: 1 } })
      await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (1)')
      await begin('', async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (2)')
        await driver.transaction(async (other) => {
          await run(other, 'UPDATE t SET n = 1 WHERE id = 1')
          expect(driver.classify(await errorOf(run(tx, 'UPDATE t SET n = 2 WHERE id = 1')))).toBe('busy')
        })
        await errorOf(run(tx, 'INSERT INTO t (id) VALUES (2)'))
        await driver.query('INSERT INTO t (id) VALUES (3)', [], tx)
        expect(driver.inspect(tx)).toBe('open')
      })
      expect(await ids()).toEqual([1, 2, 3])
    })

    test('without autocommit is open from the first statement on', async () => {
      const { driver, run, begin } = await open({ settings: { autocommit: 0 } })
      await begin('', async (tx) => {
        await run(tx, 'COMMIT')
        expect(driver.inspect(tx)).toBe('open')
        await driver.query('INSERT INTO t (id) VALUES (1)', [], tx)
        await run(tx, 'ROLLBACK')
        await driver.query('INSERT INTO t (id) VALUES (2)', [], tx)
      })
      expect(await ids()).toEqual([2])
      // A read does not hold on to its snapshot, nor to the table.
      const reader = await open({ max: 1, settings: { autocommit: 0 } })
      const [row] = (await reader.driver.query('SELECT id, connection_id() AS connection_ FROM t', [])).rows
      expect(row?.['id']).toBe(2)
      const held = `SELECT 1 FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = ${Number(row?.['connection_'])}`
      expect(await queryMariadb(database.socket, held)).toEqual([])
      await executeMariadb(database.socket, 'DELETE FROM t')
      expect((await reader.driver.query('SELECT id FROM t', [])).rows).toEqual([])
    })

    test('of another database is foreign', async () => {
      const { driver } = await open()
      const other = await open({}, elsewhere)
      await other.begin('', async (tx) => {
        expect(driver.inspect(tx)).toBe('foreign')
        await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], tx))
      })
    })

    test('of another pool on the same database is as good, over whatever it is connected', async () => {
      const { driver } = await open()
      const socket = await library.open(database.socket)
      opened.push(socket)
      for (const [id, other] of [await open(), socket].entries()) {
        await other.begin('', async (tx) => {
          expect(driver.inspect(tx)).toBe('open')
          await driver.query('INSERT INTO t (id) VALUES (?)', [id], tx)
          expect(await ids()).not.toContain(id)
        })
        expect(await ids()).toContain(id)
      }
    })
  })

  describe('the transaction of a handler', () => {
    test('has the isolation level that the connection has, or the one that is asked for', async () => {
      const { driver, run } = await open({ max: 1 })
      const count = async (tx: object): Promise<number> =>
        Number((await run(tx, 'SELECT count(*) AS n FROM t'))[0]?.['n'])
      const seen = async (isolation?: 'read committed' | 'read uncommitted'): Promise<number> => {
        await executeMariadb(database.socket, 'DELETE FROM t')
        return driver.transaction(
          async (tx) => {
            expect(await count(tx)).toBe(0)
            await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (1)')
            return count(tx)
          },
          isolation === undefined ? {} : { isolation },
        )
      }
      expect([await seen(), await seen('read committed'), await seen('read uncommitted'), await seen()]).toEqual([
        0, 1, 1, 0,
      ])
    })

    test.each([
      'BEGIN',
      'COMMIT',
      'ROLLBACK',
      'START TRANSACTION READ ONLY',
      '/**/ rollback work',
      '/*!50000 COMMIT */',
      'SET autocommit = 1',
      "XA START 'x'",
      'CREATE TABLE made_in_between (id int)',
      'TRUNCATE TABLE t',
    ])('refuses %s', async (sql) => {
      const { driver, run } = await open()
      await driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await refusal('TRANSACTION_INVALID', () => run(tx, sql))
        await refusal('TRANSACTION_INVALID', () => driver.query(sql, [], tx))
        expect(driver.inspect(tx)).toBe('open')
      })
      expect(await ids()).toEqual([1])
    })

    test('is refused to everybody when it has ended', async () => {
      const { driver, run } = await open()
      const tx = await driver.transaction((given) => Promise.resolve(given))
      await refusal('TRANSACTION_ENDED', () => run(tx, 'INSERT INTO t (id) VALUES (1)'))
      expect(await ids()).toEqual([])
    })

    test('may be used by a driver of another pool on the same database', async () => {
      const [one, other] = [await open(), await open()]
      const tx = await one.driver.transaction(async (given) => {
        expect(other.driver.inspect(given)).toBe('open')
        await other.driver.query('INSERT INTO t (id) VALUES (1)', [], given)
        return given
      })
      expect(other.driver.inspect(tx)).toBe('ended')
      expect(await ids()).toEqual([1])
    })

    test('is committed without the statement that failed, when its error was swallowed', async () => {
      const { driver, run } = await open()
      await driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await errorOf(run(tx, 'INSERT INTO t (id) VALUES (2), (1)'))
        await run(tx, 'INSERT INTO t (id) VALUES (3)')
      })
      expect(await ids()).toEqual([1, 3])
    })

    test('may set how long it waits for locks, and leaves nothing of that behind', async () => {
      const one = await open({ max: 1, settings: { innodb_lock_wait_timeout: 33, lock_wait_timeout: 44 } })
      const { driver } = one
      const show = (options?: { readonly lockTimeout: number }): Promise<unknown> =>
        driver.transaction(async (tx) => (await driver.query(SETTINGS, [], tx)).rows[0], options)
      const usual = { rows_: '33', tables_: '44' }
      expect(await show()).toEqual(usual)
      expect(await show({ lockTimeout: 4000.5 })).toEqual({ rows_: '5', tables_: '5' })
      expect(await show()).toEqual(usual)
      const failed = driver.transaction(() => Promise.reject(new Error('of the work')), { lockTimeout: 4000 })
      await expect(failed).rejects.toThrow('of the work')
      expect(await show()).toEqual(usual)
    })

    test('does not commit what somebody has left open on a connection of the pool', async () => {
      const one = await open({ max: 1 })
      const { driver, begin, run } = one
      const held = Promise.withResolvers<object>()
      await begin('', (tx) => {
        held.resolve(tx)
        return Promise.resolve()
      })
      const connection = await held.promise
      await run(connection, 'START TRANSACTION')
      await run(connection, 'INSERT INTO t (id) VALUES (1)')
      expect((await driver.query('SELECT id FROM t', [])).rows).toEqual([])
      await run(connection, 'START TRANSACTION')
      await run(connection, 'INSERT INTO t (id) VALUES (1)')
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (2)'))
      expect(await ids()).toEqual([2])
    })
  })

  describe('savepoints and nested transactions', () => {
    test('a savepoint is rolled back alone', async () => {
      const { driver, run } = await open()
      await driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await run(tx, 'SAVEPOINT s')
        await run(tx, 'INSERT INTO t (id) VALUES (2)')
        await run(tx, 'ROLLBACK TO SAVEPOINT s')
        await run(tx, 'INSERT INTO t (id) VALUES (3)')
      })
      expect(await ids()).toEqual([1, 3])
    })

    test('a transaction inside the work of another one is one of its own', async () => {
      const { driver, run } = await open()
      const failed = driver.transaction(async (tx) => {
        await run(tx, 'INSERT INTO t (id) VALUES (1)')
        await driver.transaction((inner) => run(inner, 'INSERT INTO t (id) VALUES (2)'))
        throw new Error('of the outer one')
      })
      await expect(failed).rejects.toThrow('of the outer one')
      expect(await ids()).toEqual([2])
    })

    test('with a pool of one connection it is refused, as is a read outside of the transaction', async () => {
      const { driver, run } = await open({ max: 1 })
      await driver.transaction(async (tx) => {
        await refusal('TRANSACTION_INVALID', () => driver.transaction((inner) => run(inner, 'SELECT 1')))
        await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', []))
        await driver.query('INSERT INTO t (id) VALUES (1)', [], tx)
      })
      expect(await ids()).toEqual([1])
    })

    test('close() inside a transaction is refused', async () => {
      const { driver } = await open()
      await driver.transaction(async () => {
        await refusal('LIFECYCLE', () => driver.close())
      })
    })
  })

  describe('losing against another transaction', () => {
    test('a deadlock is a conflict, and nothing of the loser is there', async () => {
      const one = await open()
      const lost = await deadlock(one, (_, error) => {
        expect(one.driver.classify(error)).toBe('conflict')
        throw error as Error
      })
      expect(lost).toMatchObject({ status: 'rejected', reason: { errno: 1213 } })
      const [row] = await queryMariadb(database.socket, 'SELECT sum(n) AS sum FROM t')
      // Six of the winner.
      expect(Number(row?.['sum'])).toBe(6)
    })

    test('whoever swallows the error of a deadlock does not commit the rest', async () => {
      const one = await open({ max: 2 })
      const { driver, run } = one
      const lost = await deadlock(one, async (tx) => {
        expect(driver.inspect(tx)).toBe('ended')
        await refusal('TRANSACTION_ENDED', () => run(tx, 'INSERT INTO t (id) VALUES (1)'))
        await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (2)', [], tx))
        await refusal('TRANSACTION_ENDED', () => driver.script('INSERT INTO t (id) VALUES (3)', tx))
      })
      expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'TRANSACTION_ENDED' } })
      const reason: unknown = lost.status === 'rejected' ? lost.reason : undefined
      expect((reason as Error).message).toMatch(/rolled back by the database: Deadlock/)
      // So that it can be run again at once.
      expect(driver.classify(reason)).toBe('conflict')
      expect(await ids()).not.toContain(1)
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (4)'))
      expect(await ids()).toContain(4)
    })

    test('statements that wait behind the one that fails are not run', async () => {
      const one = await open()
      const { run } = one
      await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (801), (802), (803), (804), (805)')
      const locked = Promise.withResolvers<void>()
      const proceed = Promise.withResolvers<void>()
      const winner = one.driver.transaction(async (tx) => {
        await run(tx, 'UPDATE t SET n = 1 WHERE id > 801')
        locked.resolve()
        await proceed.promise
        await run(tx, 'UPDATE t SET n = 1 WHERE id = 801')
      })
      const rest: PromiseSettledResult<unknown>[] = []
      const loser = one.driver.transaction(async (tx) => {
        await run(tx, 'UPDATE t SET n = 2 WHERE id = 801')
        await locked.promise
        const [{ id } = {}] = await run(tx, 'SELECT connection_id() AS id')
        // All at once, as with Promise.all.
        const statements = [
          'UPDATE t SET n = 2 WHERE id = 802',
          'INSERT INTO t (id) VALUES (1)',
          'DELETE FROM t WHERE id = 803',
        ]
        const all = Promise.allSettled(statements.map((sql) => run(tx, sql)))
        await until(async () => {
          const waiting = `SELECT 1 FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = ${String(id)} AND trx_state = 'LOCK WAIT'`
          return (await queryMariadb(database.socket, waiting)).length > 0
        })
        proceed.resolve()
        rest.push(...(await all))
      })
      expect(await errorOf(loser)).toMatchObject({ code: 'TRANSACTION_ENDED' })
      await winner
      expect(rest).toMatchObject([
        { status: 'rejected', reason: { errno: 1213 } },
        { status: 'rejected', reason: { code: 'TRANSACTION_ENDED' } },
        { status: 'rejected', reason: { code: 'TRANSACTION_ENDED' } },
      ])
      expect(await ids()).toEqual([801, 802, 803, 804, 805])
    })

    test('a statement that was not waited for is committed, or fails with the rest', async () => {
      const { driver, run } = await open()
      let late: Promise<unknown> = Promise.resolve()
      await driver.transaction((tx) => {
        late = run(tx, 'INSERT INTO t (id) VALUES (1)')
        return Promise.resolve()
      })
      await late
      expect(await ids()).toEqual([1])
    })

    test('a lock that is not given in time is busy, and the transaction goes on', async () => {
      const { driver, run } = await open({ settings: { innodb_lock_wait_timeout: 1 } })
      await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (1)')
      await driver.transaction(async (holder) => {
        await run(holder, 'UPDATE t SET n = 1 WHERE id = 1')
        await driver.transaction(async (tx) => {
          await run(tx, 'INSERT INTO t (id) VALUES (2)')
          const error = await errorOf(run(tx, 'UPDATE t SET n = 2 WHERE id = 1'))
          expect(error).toMatchObject({ errno: 1205 })
          await run(tx, 'INSERT INTO t (id) VALUES (3)')
        })
        await refusal('STORE_BUSY', () => driver.transaction((tx) => driver.query('DELETE FROM t', [], tx)))
      })
      expect(await ids()).toEqual([1, 2, 3])
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
      expect(error.message).toMatch(/\(it has 1\) was free for 50 ms/)
      await refusal('STORE_BUSY', () => driver.transaction(work, { lockTimeout: 10 }))
      await refusal('STORE_BUSY', () => driver.query('SELECT 1 AS one', []))
      hold.resolve()
      await held
      // Those who gave up have left nothing behind that holds the connection.
      await driver.transaction((tx) => run(tx, 'INSERT INTO t (id) VALUES (2)'))
      expect(await ids()).toEqual([1, 2])
      expect(begun).toBe(0)
    })
  })

  describe('a script', () => {
    test('that defines tables commits as it goes, and is in a transaction again behind each of them', async () => {
      const { driver } = await open()
      const failed = driver.transaction(async (tx) => {
        await driver.script(
          `INSERT INTO t (id) VALUES (1);
           CREATE TABLE made (id int);   -- commits the row
           INSERT INTO t (id) VALUES (2)`,
          tx,
        )
        await driver.query('INSERT INTO t (id) VALUES (3)', [], tx)
        throw new Error('of the work')
      })
      await expect(failed).rejects.toThrow('of the work')
      expect(await ids()).toEqual([1])
      await driver.transaction((tx) => driver.script('DROP TABLE made; INSERT INTO t (id) VALUES (2);', tx))
      expect(await ids()).toEqual([1, 2])
    })

    test.each(['BEGIN', 'SELECT 1; COMMIT'])('refuses %s', async (sql) => {
      const { driver } = await open()
      await driver.transaction(async (tx) => {
        await refusal('TRANSACTION_INVALID', () => driver.script(sql, tx))
      })
    })
  })

  test('a database that is not there is unavailable, and so is a server', async () => {
    const error = await errorOf(library.open({ ...database.tcp, database: 'no_such_database' }))
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const nobody = await errorOf(library.open({ ...database.tcp, port: 1 }))
    expect(nobody).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })
})
