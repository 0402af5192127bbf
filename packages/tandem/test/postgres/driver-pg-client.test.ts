// What only node-postgres has: the forms of `query`, clients of the user's own, binary results, versions before 8.21.
import { Client, Pool, Query, type PoolClient } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pg } from '../../src/drivers/pg.ts'
import { until } from '../support/clock.ts'
import { errorOf, refusal, thrown } from '../support/errors.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'

/** As before 8.21, which did not tell the status of a transaction. */
class OlderClient extends Client {
  override getTransactionStatus = undefined as unknown as Client['getTransactionStatus']
}

describe.skipIf(!hasPostgres)('node-postgres', () => {
  let database: TestDatabase
  const pools: Pool[] = []
  const poolOf = (options: object = {}): Pool => {
    const pool = new Pool({ ...database.socket, max: 3, ...options })
    pools.push(pool)
    return pool
  }
  const ids = async (): Promise<unknown[]> =>
    (await query(database.socket, 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])

  beforeAll(async () => {
    database = await createDatabase()
    await execute(database.socket, 'CREATE TABLE t (id int PRIMARY KEY)')
  })
  afterAll(async () => {
    for (const pool of pools) await pool.end()
    await database.drop()
  })

  test('every form of query works in a transaction, and fails in its own way afterwards', async () => {
    const driver = pg(poolOf())
    await driver.open({ service: 'test' })
    const forms: Readonly<Record<string, (tx: PoolClient) => Promise<unknown>>> = {
      text: async (tx) => (await tx.query<Record<string, unknown>>('SELECT 1 AS one')).rows,
      'text and values': async (tx) => (await tx.query<Record<string, unknown>>('SELECT $1::int AS one', [1])).rows,
      config: async (tx) =>
        (await tx.query<Record<string, unknown>>({ text: 'SELECT $1::int AS one', values: [1] })).rows,
      callback: (tx) =>
        new Promise((resolve, reject) => {
          const back = tx.query('SELECT 1 AS one', (error: unknown, result) =>
            error === null || error === undefined ? resolve(result.rows) : reject(error as Error),
          )
          expect(back).toBeUndefined()
        }),
      'values and callback': (tx) =>
        new Promise((resolve, reject) => {
          tx.query('SELECT $1::int AS one', [1], (error: unknown, result) =>
            error === null || error === undefined ? resolve(result.rows) : reject(error as Error),
          )
        }),
      'an object of its own': (tx) =>
        new Promise((resolve, reject) => {
          const rows: unknown[] = []
          const submitted = tx.query(new Query('SELECT 1 AS one'))
          submitted.on('row', (row) => rows.push(row))
          submitted.on('end', () => resolve(rows))
          submitted.on('error', reject)
        }),
    }
    for (const [name, form] of Object.entries(forms)) {
      const tx = await driver.transaction(async (given) => {
        expect(await form(given), name).toEqual([{ one: 1 }])
        return given
      })
      await refusal('TRANSACTION_ENDED', () => form(tx))
    }
  })

  test('COMMIT is refused in every form', async () => {
    const driver = pg(poolOf())
    await driver.open({ service: 'test' })
    await driver.transaction(async (tx) => {
      await refusal('TRANSACTION_INVALID', () => tx.query({ text: 'COMMIT' }))
      await refusal('TRANSACTION_INVALID', () => new Promise((_resolve, reject) => tx.query('COMMIT', reject)))
      const submitted = tx.query(new Query('COMMIT'))
      await refusal('TRANSACTION_INVALID', () => new Promise((_resolve, reject) => submitted.on('error', reject)))
      expect(driver.inspect(tx)).toBe('open')
    })
  })

  test('the client of a transaction is a client for everybody who wraps one', async () => {
    const driver = pg(poolOf())
    await driver.open({ service: 'test' })
    await driver.transaction(async (tx) => {
      expect(tx).toBeInstanceOf(Client)
      expect(tx.database).toBe(database.socket.database)
      expect(tx.escapeIdentifier('a"b')).toBe('"a""b"')
      expect(tx.getTransactionStatus()).toBe('T')
      // A pool made of one client gives it back after each statement.
      tx.release()
      expect(driver.inspect(tx)).toBe('open')
      thrown('TRANSACTION_INVALID', () => void tx.end())
      thrown('TRANSACTION_INVALID', () => void tx.connect())
    })
  })

  describe.each([
    ['of today', Client],
    ['before 8.21', OlderClient],
  ])('a client %s', (_name, Class) => {
    test('of the pool is a transaction from BEGIN to COMMIT', async () => {
      const pool = poolOf({ Client: Class })
      const driver = pg(pool)
      // Before the driver is opened.
      const client = await pool.connect()
      await client.query('BEGIN')
      await driver.open({ service: 'test' })
      try {
        expect(driver.inspect(client)).toBe('open')
        await client.query('COMMIT')
        expect(driver.inspect(client)).toBe('ended')
        await client.query('BEGIN')
        expect(driver.inspect(client)).toBe('open')
        await driver.query('INSERT INTO t (id) VALUES (100)', [], client)
        await errorOf(client.query('SELECT 1 FROM nowhere'))
        expect(driver.inspect(client)).toBe('open')
        await client.query('ROLLBACK')
        await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (100)', [], client))
      } finally {
        client.release()
      }
      const other = await pool.connect()
      expect(driver.inspect(other)).toBe('ended')
      other.release()
      expect(await ids()).not.toContain(100)
      const tx = await driver.transaction((given) => Promise.resolve(given))
      expect(driver.inspect(tx)).toBe('ended')
    })

    test("of the user's own is asked when it is not known", async () => {
      const driver = pg(poolOf({ Client: Class }))
      await driver.open({ service: 'test' })
      const client = new Class(database.socket) as PoolClient
      await client.connect()
      try {
        await refusal('TRANSACTION_ENDED', () => driver.query('INSERT INTO t (id) VALUES (101)', [], client))
        expect(driver.inspect(client)).toBe('ended')
        await client.query('BEGIN')
        await driver.query('INSERT INTO t (id) VALUES (101)', [], client)
        await client.query('ROLLBACK')
      } finally {
        await client.end()
      }
      expect(await ids()).not.toContain(101)
    })
  })

  test('pools and other things that have a query are no transactions', async () => {
    const pool = poolOf()
    const driver = pg(pool)
    await driver.open({ service: 'test' })
    const native = { query: () => undefined, on: () => undefined }
    for (const candidate of [pool, native]) expect(driver.inspect(candidate)).toBe('foreign')
    thrown('CONFIG_INVALID', () => pg(new Client() as unknown as Pool))
    thrown('CONFIG_INVALID', () => pg(undefined as unknown as Pool))
    thrown('CONFIG_INVALID', () => pg(pool, { prepare: 1 as unknown as boolean }))
    thrown('OPTION_UNKNOWN', () => pg(pool, { prepared: true } as object))
  })

  test('values are the same whatever the user has set for his own', async () => {
    const types = { getTypeParser: () => () => 'of the user' }
    for (const options of [{}, { binary: true }, { types }, { binary: true, types }]) {
      const driver = pg(poolOf(options))
      await driver.open({ service: 'test' })
      const { rows } = await driver.query(
        `SELECT true AS a, false AS b, '\\x00ff'::bytea AS c, (-2)::int2 AS d, 3::int4 AS e, (-9007199254740993)::int8 AS f,
           0.5::float4 AS g, -2.5e300::float8 AS h, 'é'::text AS i, NULL::int AS j`,
        [],
      )
      const [c, f] = [Buffer.from([0, 255]), '-9007199254740993']
      expect(rows).toEqual([{ a: true, b: false, c, d: -2, e: 3, f, g: 0.5, h: -2.5e300, i: 'é', j: null }])
    }
  })

  test('why the server closed the connection is told', async () => {
    const driver = pg(poolOf({ options: '-c idle_in_transaction_session_timeout=20' }))
    await driver.open({ service: 'test' })
    const failed = driver.transaction(async (tx) => {
      const { rows } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      const alive = `SELECT 1 FROM pg_stat_activity WHERE pid = ${rows[0]?.pid}`
      await until(async () => (await query(database.socket, alive)).length === 0)
      await driver.query('SELECT 1 AS one', [], tx)
    })
    const error = await refusal('STORE_UNAVAILABLE', () => failed)
    expect(error.message).toMatch(/idle-in-transaction timeout/)
  })

  test('a pool can have several drivers, and gets one listener', async () => {
    const pool = poolOf()
    const count = pool.listenerCount('error')
    const drivers = [pg(pool), pg(pool), pg(pool)]
    for (const driver of drivers) await driver.open({ service: 'test' })
    expect(pool.listenerCount('error')).toBe(count + 1)
    for (const driver of drivers) await driver.close()
  })

  test('a pool that pipelines works the same', async () => {
    const driver = pg(poolOf({ pipeline: true }))
    await driver.open({ service: 'test' })
    await driver.transaction(async (tx) => {
      const both = [1, 2].map((id) => driver.query('INSERT INTO t (id) VALUES ($1)', [id], tx))
      await Promise.all(both)
    })
    const failed = driver.transaction(async (tx) => {
      await Promise.all([tx.query('INSERT INTO t (id) VALUES (3)'), tx.query('INSERT INTO t (id) VALUES (1)')])
    })
    expect(await errorOf(failed)).toMatchObject({ code: '23505' })
    expect(await ids()).toEqual([1, 2])
  })
})
