// The connection that a handler gets, in all the ways in which it can be used, and one that cannot be followed.
import callbacks from 'mysql2'
import promises from 'mysql2/promise'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mysql2, type Mysql2CallbackPool } from '../../src/drivers/mysql2.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { errorOf, refusal, thrown } from '../support/errors.ts'
import { createMariadb, executeMariadb, hasMariadb, queryMariadb, type TestMariadb } from '../support/mariadb.ts'

describe.skipIf(!hasMariadb)('mysql2', () => {
  let database: TestMariadb
  let pool: promises.Pool
  let driver: Driver<promises.PoolConnection>

  const ids = async (): Promise<unknown[]> =>
    (await queryMariadb(database.socket, 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])

  beforeAll(async () => {
    database = await createMariadb()
  })
  beforeEach(async () => {
    await executeMariadb(
      database.socket,
      'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 0)',
    )
    pool = promises.createPool({ ...database.socket, connectionLimit: 3 })
    driver = mysql2(pool)
    await driver.open({ service: 'test' })
  })
  afterEach(async () => {
    await driver.close()
    await pool.end()
  })
  afterAll(() => database.drop())

  test('runs prepared statements, many at once, in the order in which they were asked for', async () => {
    const found = await driver.transaction(async (tx) => {
      const inserts = [1, 2, 3].map((id) => tx.execute('INSERT INTO t (id) VALUES (?)', [id]))
      const seen = tx.execute<promises.RowDataPacket[]>('SELECT count(*) AS n FROM t')
      const statement = await tx.prepare('INSERT INTO t (id) VALUES (?)')
      await statement.execute([4])
      await statement.close()
      await Promise.all(inserts)
      return (await seen)[0][0]?.['n'] as number
    })
    expect(found).toBe(3)
    expect(await ids()).toEqual([1, 2, 3, 4])
  })

  test('refuses prepared statements that end the transaction, and all of them behind its end', async () => {
    const tx = await driver.transaction(async (open) => {
      await refusal('TRANSACTION_INVALID', () => open.execute('COMMIT'))
      await refusal('TRANSACTION_INVALID', () => open.prepare('COMMIT'))
      await open.execute('INSERT INTO t (id) VALUES (1)')
      return open
    })
    for (const act of [
      () => tx.execute('DELETE FROM t'),
      () => tx.prepare('DELETE FROM t'),
      () => tx.query('SELECT 1'),
    ]) {
      await refusal('TRANSACTION_ENDED', act)
    }
    expect(await ids()).toEqual([1])
  })

  test('refuses to be ended, changed or given up by a handler, and is given back by nobody but Tandem', async () => {
    await driver.transaction(async (tx) => {
      await tx.query('INSERT INTO t (id) VALUES (1)')
      for (const act of [() => tx.beginTransaction(), () => tx.commit(), () => tx.rollback()]) {
        const error = await refusal('TRANSACTION_INVALID', act)
        expect(error.message).toMatch(/Return to commit, throw to roll back/)
      }
      await refusal('TRANSACTION_INVALID', () => tx.changeUser({ database: 'mysql' }))
      thrown('TRANSACTION_INVALID', () => tx.destroy())
      tx.release()
      await tx.query('INSERT INTO t (id) VALUES (2)')
    })
    expect(await ids()).toEqual([1, 2])
  })

  test('streams rows', async () => {
    await executeMariadb(database.socket, 'INSERT INTO t (id) VALUES (1), (2), (3)')
    const callbackPool = callbacks.createPool(database.socket)
    const one = mysql2(callbackPool)
    try {
      await one.open({ service: 'test' })
      const rows = await one.transaction(async (tx) => {
        const found: unknown[] = []
        for await (const row of tx.query('SELECT id FROM t ORDER BY id').stream()) found.push(row)
        return found
      })
      expect(rows).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
    } finally {
      await one.close()
      await callbackPool.promise().end()
    }
  })

  test('is met when the pool makes it, or later, and known from then on', async () => {
    const connection = await pool.getConnection()
    try {
      const other = mysql2(pool)
      await other.open({ service: 'test' })
      // Nothing is open on a new one, and nobody has to be asked.
      expect(driver.inspect(connection)).toBe('ended')
      await connection.beginTransaction()
      expect([driver.inspect(connection), other.inspect(connection)]).toEqual(['open', 'open'])
      await connection.changeUser({})
      expect(driver.inspect(connection)).toBe('ended')
      await connection.query('START TRANSACTION')
      await connection.execute('SELECT ? AS one', [1])
      expect(driver.inspect(connection)).toBe('open')
    } finally {
      connection.release()
    }
  })

  test('leaves nothing on the connection that grows', async () => {
    const listeners = (core: callbacks.PoolConnection): number =>
      core.listenerCount('error') + core.listenerCount('end')
    const single = promises.createPool({ ...database.socket, connectionLimit: 1 })
    const one = mysql2(single)
    try {
      await one.open({ service: 'test' })
      const count = (): Promise<number> =>
        one.transaction((tx) => Promise.resolve(listeners(tx.connection as unknown as callbacks.PoolConnection)))
      const first = await count()
      for (let i = 0; i < 20; i++) await one.transaction((tx) => tx.query('SELECT 1'))
      expect(await count()).toBe(first)
    } finally {
      await single.end()
    }
  })

  describe('a version of the library that does not let itself be followed', () => {
    let core: callbacks.Pool
    let blind: Driver<callbacks.PoolConnection>

    /** Its connections without what is not documented. */
    function hidden(connection: callbacks.PoolConnection): callbacks.PoolConnection {
      const undocumented = ['handlePacket', 'addCommand', '_command']
      return new Proxy(connection, {
        has: (target, name) => !undocumented.includes(String(name)) && name in target,
        get: (target, name) => {
          if (undocumented.includes(String(name))) return undefined
          const value: unknown = Reflect.get(target, name, target)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      })
    }

    beforeEach(async () => {
      core = callbacks.createPool({ ...database.socket, connectionLimit: 3 })
      const proxied: Mysql2CallbackPool & Pick<callbacks.Pool, 'on'> = {
        getConnection: (callback) =>
          core.getConnection((error, connection) => callback(error, error === null ? hidden(connection) : connection)),
        promise: () => core.promise(),
        on: (): never => core as never,
      }
      blind = mysql2(proxied) as unknown as Driver<callbacks.PoolConnection>
      await blind.open({ service: 'test' })
    })
    afterEach(async () => {
      await blind.close()
      await core.promise().end()
    })

    test('commits and rolls back', async () => {
      await blind.transaction((tx) => blind.query('INSERT INTO t (id) VALUES (?)', [1], tx))
      const failed = blind.transaction(async (tx) => {
        await blind.query('INSERT INTO t (id) VALUES (?)', [2], tx)
        throw new Error('of the work')
      })
      await expect(failed).rejects.toThrow('of the work')
      expect((await blind.query('SELECT id FROM t', [])).rows).toEqual([{ id: 1 }])
    })

    test('asks before each statement in the transaction of a user', async () => {
      const connection = hidden(
        await core
          .promise()
          .getConnection()
          .then((one) => one.connection as unknown as callbacks.PoolConnection),
      )
      const run = (sql: string): Promise<void> =>
        new Promise(
          (resolve, reject) => void connection.query(sql, (error) => (error === null ? resolve() : reject(error))),
        )
      try {
        for (const [id, end] of ['COMMIT', 'ROLLBACK'].entries()) {
          await run('START TRANSACTION')
          await blind.query('INSERT INTO t (id) VALUES (?)', [id], connection)
          await run(end)
          await refusal('TRANSACTION_ENDED', () => blind.query('INSERT INTO t (id) VALUES (7)', [], connection))
        }
      } finally {
        connection.release()
      }
      expect(await ids()).toEqual([0])
    })

    test('does not say that it has committed what the server has ended', async () => {
      const ended = blind.transaction(async (tx) => {
        await blind.query('INSERT INTO t (id) VALUES (1)', [], tx)
        // Not seen by the guard, as a procedure that commits would not be.
        await blind.query("EXECUTE IMMEDIATE 'COMMIT'", [], tx)
      })
      expect(await errorOf(ended)).toMatchObject({ code: 'TRANSACTION_ENDED' })
    })
  })
})
