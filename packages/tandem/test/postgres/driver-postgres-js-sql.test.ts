// What only postgres.js has: queries that run when they are waited for, savepoints as functions, transforms, reserved connections.
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import { until } from '../support/clock.ts'
import { errorOf, refusal } from '../support/errors.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'

describe.skipIf(!hasPostgres)('postgres.js', () => {
  let database: TestDatabase
  let instances: postgres.Sql[] = []
  const connect = (options: postgres.Options<Record<string, never>> = {}): postgres.Sql => {
    const sql = postgres({ ...database.tcp, max: 3, onnotice: () => undefined, backoff: () => 0.01, ...options })
    instances.push(sql)
    return sql
  }
  const driverOn = async (sql: postgres.Sql) => {
    const driver = postgresJs(sql)
    await driver.open({ service: 'test' })
    return driver
  }
  const ids = async (): Promise<unknown[]> =>
    (await query(database.socket, 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])

  beforeAll(async () => {
    database = await createDatabase()
    await execute(database.socket, 'CREATE TABLE t (id int PRIMARY KEY)')
  })
  beforeEach(() => execute(database.socket, 'TRUNCATE t'))
  afterEach(async () => {
    for (const sql of instances) await sql.end({ timeout: 1 })
    instances = []
  })
  afterAll(() => database.drop())

  test('fragments, identifiers and lists of values are used as ever', async () => {
    const driver = await driverOn(connect())
    await driver.transaction(async (tx) => {
      const where = tx`WHERE id > ${0}`
      await tx`INSERT INTO ${tx('t')} ${tx([{ id: 1 }, { id: 2 }])}`
      expect([...(await tx`SELECT id FROM t ${where} AND id IN ${tx([1, 2, 3])} ORDER BY id`)]).toEqual([
        { id: 1 },
        { id: 2 },
      ])
      expect([...(await tx`SELECT id FROM t ORDER BY id`.values())]).toEqual([[1], [2]])
      for await (const rows of tx`SELECT id FROM t ORDER BY id`.cursor(1)) expect(rows).toHaveLength(1)
      await tx`SELECT id FROM t`.forEach((row) => expect(row).toHaveProperty('id'))
    })
    expect(await ids()).toEqual([1, 2])
  })

  test('a query that was made in time and is waited for afterwards is not run', async () => {
    const driver = await driverOn(connect())
    const late = await driver.transaction((tx) =>
      Promise.resolve({
        tagged: () => tx`INSERT INTO t (id) VALUES (1)`,
        made: [tx`INSERT INTO t (id) VALUES (2)`],
        unsafe: [tx.unsafe('INSERT INTO t (id) VALUES (3)')],
      }),
    )
    await refusal('TRANSACTION_ENDED', () => late.tagged())
    await refusal('TRANSACTION_ENDED', () => late.made[0])
    await refusal('TRANSACTION_ENDED', () => late.unsafe[0])
    expect(await ids()).toEqual([])
  })

  test('savepoints as functions, of a handler and of the user', async () => {
    const sql = connect()
    const driver = await driverOn(sql)
    const inserts = async (tx: postgres.TransactionSql): Promise<void> => {
      await tx.savepoint(async (inner) => {
        expect(driver.inspect(inner)).toBe('open')
        await inner`INSERT INTO t (id) VALUES (1)`
        await inner.savepoint('named', (innermost) => driver.query('INSERT INTO t (id) VALUES (2)', [], innermost))
      })
      const failed = tx.savepoint(async (inner) => {
        await inner`INSERT INTO t (id) VALUES (3)`
        await inner`INSERT INTO t (id) VALUES (3)`
      })
      expect(await errorOf(failed)).toMatchObject({ code: '23505' })
    }
    let inside: postgres.TransactionSql | undefined
    await driver.transaction(async (tx) => {
      await inserts(tx)
      await tx.savepoint((inner) => void (inside = inner))
    })
    expect(await ids()).toEqual([1, 2])
    await refusal('TRANSACTION_ENDED', () => inside?.savepoint(() => 1))
    await refusal('TRANSACTION_ENDED', () => inside?.unsafe('INSERT INTO t (id) VALUES (4)'))

    await execute(database.socket, 'TRUNCATE t')
    await sql.begin((tx) => inserts(tx))
    expect(await ids()).toEqual([1, 2])
  })

  test('sql.begin does what it did: options, results, lists of queries', async () => {
    const sql = connect()
    await driverOn(sql)
    const result = await sql.begin('isolation level serializable', async (tx) => {
      const [row] = await tx`SHOW transaction_isolation`
      return row
    })
    expect(result).toEqual({ transaction_isolation: 'serializable' })
    const results = await sql.begin((tx) => [tx`SELECT 1 AS one`, tx`INSERT INTO t (id) VALUES (1)`])
    expect(results[0]?.[0]).toEqual({ one: 1 })
    expect(await ids()).toEqual([1])
    const failed = sql.begin((tx) => [tx`INSERT INTO t (id) VALUES (2)`, tx`INSERT INTO t (id) VALUES (1)`])
    expect(await errorOf(failed)).toMatchObject({ code: '23505' })
    expect(await ids()).toEqual([1])
  })

  test('PREPARE TRANSACTION is refused, as a method too', async () => {
    const driver = await driverOn(connect())
    await driver.transaction(async (tx) => {
      await refusal('TRANSACTION_INVALID', async () => tx.prepare('a'))
    })
  })

  test('what is not followed is foreign: begun too early, reserved, an instance', async () => {
    const sql = connect()
    const hold = Promise.withResolvers<void>()
    const early = Promise.withResolvers<postgres.TransactionSql>()
    const held = sql.begin(async (tx) => {
      early.resolve(tx)
      await hold.promise
    })
    const tx = await early.promise
    const driver = await driverOn(sql)
    const reserved = await sql.reserve()
    await reserved`BEGIN`
    for (const candidate of [sql, tx, reserved]) expect(driver.inspect(candidate)).toBe('foreign')
    await reserved`ROLLBACK`
    reserved.release()
    hold.resolve()
    await held
  })

  test('columns keep their names, and values their kind, whatever the user transforms', async () => {
    const custom = postgres.toPascal
    for (const transform of [postgres.camel, postgres.kebab, { column: { from: custom } }]) {
      const types = { float8: { to: 701, from: [701, 17, 16], parse: () => 'of the user', serialize: String } }
      const driver = await driverOn(connect({ transform, types } as object))
      const statement = `SELECT 1::int AS message_id, 0.5::float8 AS a_b_c, true AS yes, '\\x01'::bytea AS body, NULL AS none`
      const { rows } = await driver.query(statement, [])
      expect(rows).toEqual([{ message_id: 1, a_b_c: 0.5, yes: true, body: Buffer.from([1]), none: null }])
    }
  })

  test('a transform of rows is refused', async () => {
    const driver = postgresJs(connect({ transform: { row: (row: unknown) => ({ row }) } }))
    await refusal('CONFIG_INVALID', () => driver.open({ service: 'test' }))
    await driver.close()
  })

  test('what runs in the very turn in which a connection is lost is refused', async () => {
    const driver = await driverOn(connect({ max: 1 }))
    let second: unknown
    const failed = driver.transaction(async (tx) => {
      const [row] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`
      const sleeping = tx`SELECT pg_sleep(60)`.then(undefined, () => {
        second = errorOf(tx`INSERT INTO t (id) VALUES (1)`)
      })
      const waits = `SELECT 1 FROM pg_stat_activity WHERE pid = ${row?.pid} AND wait_event = 'PgSleep'`
      await until(async () => (await query(database.socket, waits)).length > 0)
      await execute(database.socket, `SELECT pg_terminate_backend(${row?.pid})`)
      await sleeping
    })
    expect(driver.classify(await errorOf(failed))).toBe('unavailable')
    expect(await second).toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await ids()).toEqual([])
  })
})
