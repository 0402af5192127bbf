// What Tandem's own statements give and take does not depend on how the user has set his pool.
import mysql, { type PoolOptions } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mysql2 } from '../../src/drivers/mysql2.ts'
import type { SqlValue } from '../../src/spi/driver.ts'
import { refusal } from '../support/errors.ts'
import { createMariadb, executeMariadb, hasMariadb, type TestMariadb } from '../support/mariadb.ts'

const SETTINGS: Readonly<Record<string, PoolOptions>> = {
  defaults: {},
  namedPlaceholders: { namedPlaceholders: true },
  dateStrings: { dateStrings: true },
  'dateStrings of one type': { dateStrings: ['DATE'] },
  timezone: { timezone: '-08:00' },
  supportBigNumbers: { supportBigNumbers: true },
  bigNumberStrings: { supportBigNumbers: true, bigNumberStrings: true },
  decimalNumbers: { decimalNumbers: true },
  jsonStrings: { jsonStrings: true },
  'a typeCast': { typeCast: () => 'cast' },
  'no typeCast': { typeCast: false },
  rowsAsArray: { rowsAsArray: true },
  nestTables: { nestTables: true },
  'nestTables by name': { nestTables: '_' },
  multipleStatements: { multipleStatements: true },
  stringifyObjects: { stringifyObjects: true },
  disableEval: { disableEval: true },
  'rows that were changed': { flags: ['-FOUND_ROWS'] },
  compress: { compress: true },
  'a queryFormat': { queryFormat: (sql: string, values: unknown[]) => (values.length === 0 ? sql : 'SELECT 1') },
}

const TEXT = `it's "so" \`here\`: C:\\temp\\new\n\t\r\0%_ :name ? 订单 😀`
/** One of them takes two places in a string of JavaScript. */
const CHARACTERS = TEXT.length - 1
const MODES = ['', 'NO_BACKSLASH_ESCAPES', 'ANSI_QUOTES,PIPES_AS_CONCAT', 'TRADITIONAL']

describe.skipIf(!hasMariadb)('mysql2', () => {
  let database: TestMariadb

  beforeAll(async () => {
    database = await createMariadb()
    await executeMariadb(
      database.socket,
      `CREATE TABLE v (id int PRIMARY KEY, i int, u int unsigned, l bigint, d decimal(30, 10), f double, s longtext CHARACTER SET utf8mb4,
         b longblob, j json, at datetime(6), day date, ok boolean);`,
    )
  })
  afterAll(() => database.drop())

  test.each(Object.entries(SETTINGS))('with %s', async (_, settings) => {
    const pool = mysql.createPool({ ...database.tcp, connectionLimit: 2, ...settings })
    const driver = mysql2(pool)
    try {
      await driver.open({ service: 'test' })
      const values: SqlValue[] = [1, -5, 4_294_967_295, 2n ** 63n - 1n, '12345678901234567890.5', 0.1, TEXT]
      const rest: SqlValue[] = [
        Buffer.from([0, 255, 39, 92]),
        '{"a": [1, "x\\"y"]}',
        '2026-01-02 03:04:05.678901',
        '2026-01-02',
        1,
      ]
      const row = await driver.transaction(async (tx) => {
        await driver.query('DELETE FROM v', [], tx)
        await driver.query('INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', [...values, ...rest], tx)
        const same = await driver.query('UPDATE v SET i = -5 WHERE s = ?', [TEXT], tx)
        expect(same.changed).toBe(1)
        const columns = 'id, i, u, l, d, f, s, b, j, at, day, ok, NULL AS nothing, count(*) OVER () AS n'
        return (await driver.query(`SELECT ${columns} FROM v WHERE b = ?`, [Buffer.from([0, 255, 39, 92])], tx)).rows
      })
      expect(row).toEqual([
        {
          id: 1,
          i: -5,
          u: 4_294_967_295,
          l: '9223372036854775807',
          d: '12345678901234567890.5000000000',
          f: 0.1,
          s: TEXT,
          b: Buffer.from([0, 255, 39, 92]),
          j: '{"a": [1, "x\\"y"]}',
          at: '2026-01-02 03:04:05.678901',
          day: '2026-01-02',
          ok: 1,
          nothing: null,
          n: '1',
        },
      ])
      const script = `DELETE FROM v; INSERT INTO v (id, s) VALUES (2, 'a;b');`
      await driver.transaction((tx) => driver.script(script, tx))
      expect((await driver.query('SELECT id, s FROM v', [])).rows).toEqual([{ id: 2, s: 'a;b' }])
    } finally {
      await driver.close()
      await pool.end()
    }
  })

  test.each(MODES)('text is what it was in sql_mode %j', async (mode) => {
    const pool = mysql.createPool({ ...database.socket, connectionLimit: 1 })
    const driver = mysql2(pool)
    try {
      await driver.open({ service: 'test' })
      await pool.query('SET sql_mode = ?', [mode])
      const ask = `SELECT ? AS s, ? = 'x' AS differs, char_length(?) AS length_`
      const [row] = (await driver.query(ask, [TEXT, "\\' OR 1 = 1 -- ", TEXT])).rows
      // MySQL makes every number that it computes a bigint.
      expect([row?.['s'], Number(row?.['differs']), Number(row?.['length_'])]).toEqual([TEXT, 0, CHARACTERS])
    } finally {
      await pool.end()
    }
  })

  test('a connection that was never met before takes text too', async () => {
    const pool = mysql.createPool({ ...database.socket, connectionLimit: 1 })
    const connection = await mysql.createConnection(database.socket)
    const driver = mysql2(pool)
    try {
      await driver.open({ service: 'test' })
      for (const mode of MODES) {
        await connection.query('SET sql_mode = ?', [mode])
        await connection.beginTransaction()
        const tx = connection as mysql.PoolConnection
        expect((await driver.query('SELECT ? AS s', [TEXT], tx)).rows).toEqual([{ s: TEXT }])
        await connection.rollback()
        await refusal('TRANSACTION_ENDED', () => driver.query('SELECT ? AS s', [TEXT], tx))
      }
    } finally {
      await connection.end()
      await pool.end()
    }
  })

  test.each(['latin1', 'utf8'])('refuses a pool whose character set is %s', async (charset) => {
    const pool = mysql.createPool({ ...database.socket, charset })
    try {
      const error = await refusal('CONFIG_INVALID', () => mysql2(pool).open({ service: 'test' }))
      expect(error.message).toMatch(/utf8mb4/)
    } finally {
      await pool.end()
    }
  })

  test('refuses what is no number for a database, and a wrong number of values', async () => {
    const pool = mysql.createPool(database.socket)
    const driver = mysql2(pool)
    try {
      await driver.open({ service: 'test' })
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        await expect(driver.query('SELECT ? AS n', [value])).rejects.toThrow(TypeError)
      }
      await expect(driver.query("SELECT ? AS n, '?' AS s -- ?", [1, 2])).rejects.toThrow(/2 values for 1 parameters/)
      expect((await driver.query("SELECT ? AS n, '?' AS s -- ?", [1.5])).rows).toEqual([{ n: 1.5, s: '?' }])
    } finally {
      await pool.end()
    }
  })
})
