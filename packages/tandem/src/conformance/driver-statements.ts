import assert from 'node:assert/strict'
import { isTandemError } from '../core/errors.ts'
import type { SqlValue } from '../spi/driver.ts'
import type { ConformanceCase } from './case.ts'
import { benchCases, inDialect, type DriverConformanceOptions } from './driver-kit.ts'

const TEXTS = ['', ' ', "it's", '"quoted" `so` ?, $1', 'line\nbreak\ttab', '订单已创建', '😀', 'x'.repeat(200_000)]
const WHOLE = [0, 1, -1, 2 ** 31, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 12n]
const FRACTIONS = [0.1, -2.5e-300, 1e300, 3]

/** Statements: what goes in comes out, and the counts are right. */
export function statementCases<Tx>(options: DriverConformanceOptions<Tx>): ConformanceCase[] {
  const it = benchCases(options, 'statements')
  const roundTrip = (
    name: string,
    column: string,
    values: readonly SqlValue[],
    same: (a: unknown, b: SqlValue) => void,
  ) =>
    it(`gives back ${name} as it was written`, async ({ driver, query, table }) => {
      for (const [id, value] of values.entries()) {
        await driver.transaction((tx) => query(`INSERT INTO ${table} (id, ${column}) VALUES (?, ?)`, [id, value], tx))
        const [row] = await query(`SELECT ${column} AS v FROM ${table} WHERE id = ?`, [id])
        same(row?.['v'], value)
      }
    })

  return [
    roundTrip('text', 's', TEXTS, (actual, expected) => assert.equal(actual, expected)),
    roundTrip('null', 's', [null], (actual) => assert.equal(actual, null)),
    // A library may give large integers as text, so that nothing is lost.
    roundTrip('whole numbers', 'n', WHOLE, (actual, expected) => assert.equal(Number(actual), Number(expected))),
    roundTrip('fractions', 'f', FRACTIONS, (actual, expected) => assert.equal(actual, expected)),
    roundTrip('bytes', 'b', blobs(), (actual, expected) => {
      assert.ok(actual instanceof Uint8Array)
      assert.equal(Buffer.compare(actual, expected as Uint8Array), 0)
    }),
    roundTrip('a part of a larger buffer', 'b', [Buffer.from('0123456789').subarray(3, 5)], (actual) => {
      assert.equal(Buffer.from(actual as Uint8Array).toString(), '34')
    }),

    it('counts the rows that it changed', async ({ driver, table }) => {
      await driver.transaction(async (tx) => {
        const changed = async (sql: string): Promise<number> => (await driver.query(sql, [], tx)).changed
        assert.equal(await changed(`INSERT INTO ${table} (id, n) VALUES (1, 0), (2, 0), (3, 5)`), 3)
        assert.equal(await changed(`UPDATE ${table} SET n = n + 1 WHERE n = 0`), 2)
        assert.equal(await changed(`UPDATE ${table} SET n = 9 WHERE id = 99`), 0)
        assert.equal(await changed(`SELECT id FROM ${table}`), 0)
        assert.equal(await changed(`DELETE FROM ${table} WHERE id > 1`), 2)
      })
    }),

    it('gives rows for a SELECT and none for a change', async ({ driver, table }) => {
      await driver.transaction(async (tx) => {
        const inserted = await driver.query(`INSERT INTO ${table} (id, n) VALUES (1, 5)`, [], tx)
        assert.deepEqual([...inserted.rows], [])
        const { rows } = await driver.query(`SELECT id AS first, n AS second FROM ${table}`, [], tx)
        assert.deepEqual(
          rows.map((row) => [Object.keys(row), Object.values(row).map(Number)]),
          [
            [
              ['first', 'second'],
              [1, 5],
            ],
          ],
        )
        const none = await driver.query(`SELECT id FROM ${table} WHERE id = 2`, [], tx)
        assert.deepEqual([...none.rows], [])
      })
    }),

    // MySQL has no RETURNING.
    ...(options.dialect === 'mysql'
      ? []
      : [
          it('gives rows and a count for RETURNING', async ({ driver, table }) => {
            await driver.transaction(async (tx) => {
              const sql = inDialect(driver.dialect, `INSERT INTO ${table} (id, n) VALUES (?, 1), (?, 2) RETURNING n`)
              const { rows, changed } = await driver.query(sql, [1, 2], tx)
              assert.deepEqual(
                rows.map((row) => Number(row['n'])).toSorted((a, b) => a - b),
                [1, 2],
              )
              assert.equal(changed, 2)
              const none = await driver.query(`DELETE FROM ${table} WHERE id = 99 RETURNING n`, [], tx)
              assert.deepEqual([none.rows.length, none.changed], [0, 0])
              const all = await driver.query(`WITH few AS (SELECT 1 AS id) DELETE FROM ${table} RETURNING n`, [], tx)
              assert.equal(all.changed, 2)
            })
          }),
        ]),

    it('takes more different statements than it may keep prepared', async ({ query, table }) => {
      for (const round of [1, 2]) {
        for (let i = 0; i < 300; i++) {
          const [row] = await query(`SELECT ${i} AS v, ? AS round WHERE NOT EXISTS (SELECT 1 FROM ${table})`, [
            `${round}`,
          ])
          assert.deepEqual([Number(row?.['v']), row?.['round']], [i, `${round}`])
        }
      }
    }),

    it('runs a script of several statements in the transaction', async ({ driver, table, query }) => {
      const script = `
        -- A comment; with a semicolon.
        INSERT INTO ${table} (id, s) VALUES (1, 'a;b');
        INSERT INTO ${table} (id, s) VALUES (2, 'c');
      `
      const failed = driver.transaction(async (tx) => {
        await driver.script(script, tx)
        throw new Error('rolled back')
      })
      await assert.rejects(failed, /rolled back/)
      assert.deepEqual([...(await query(`SELECT id FROM ${table}`))], [])
      await driver.transaction((tx) => driver.script(script, tx))
      const rows = await query(`SELECT s FROM ${table} ORDER BY id`)
      assert.deepEqual(
        rows.map((row) => row['s']),
        ['a;b', 'c'],
      )
    }),

    it("passes on the library's own error for a statement that is at fault", async ({ driver, insert, query, ids }) => {
      await driver.transaction((tx) => insert(tx, 1))
      const faults = [
        () => driver.transaction((tx) => insert(tx, 1)),
        () => driver.transaction((tx) => query('SELECT 1 FROM no_such_table', [], tx)),
        () => query('SELECT 1 FROM no_such_table'),
        () => driver.transaction((tx) => driver.script('NOT SQL', tx)),
      ]
      for (const fault of faults) {
        const error = await fault().then(
          () => assert.fail('resolved'),
          (reason: unknown) => reason,
        )
        assert.ok(error instanceof Error && !isTandemError(error), String(error))
        assert.equal(driver.classify(error), 'other', error.message)
      }
      assert.deepEqual(await ids(), [1])
    }),

    it('classifies what is no error of the database as other', ({ driver }) => {
      for (const error of [undefined, null, 'text', 5, {}, new Error('x'), new TypeError('x')]) {
        assert.equal(driver.classify(error), 'other')
      }
      return Promise.resolve()
    }),
  ]
}

function blobs(): Uint8Array[] {
  const every = Uint8Array.from({ length: 256 }, (_, index) => index)
  return [new Uint8Array(0), every, new Uint8Array(1_000_000).fill(7)]
}
