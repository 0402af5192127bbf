import assert from 'node:assert/strict'
import type { ConformanceCase } from './case.ts'
import { benchCases, gate, rejectsWith, someTurns, type DriverConformanceOptions } from './driver-kit.ts'

/** Begin, commit, rollback, and what others see meanwhile. */
export function transactionCases<Tx>(options: DriverConformanceOptions<Tx>): ConformanceCase[] {
  const it = benchCases(options, 'transactions')
  return [
    it('commits what the work wrote and returns its result', async ({ driver, insert, ids }) => {
      const result = await driver.transaction(async (tx) => {
        await insert(tx, 1, 2)
        return 'done'
      })
      assert.equal(result, 'done')
      assert.deepEqual(await ids(), [1, 2])
    }),

    it('rolls back when the work rejects, and passes the very error on', async ({ driver, insert, ids }) => {
      const error = new Error('of the work')
      const failed = driver.transaction(async (tx) => {
        await insert(tx, 1)
        throw error
      })
      assert.equal(await failed.catch((reason: unknown) => reason), error)
      await driver.transaction((tx) => insert(tx, 2))
      assert.deepEqual(await ids(), [2])
    }),

    it('rolls back when the work throws at once', async ({ driver, insert, ids }) => {
      const error = new Error('of the work')
      const failed = driver.transaction(() => {
        throw error
      })
      assert.equal(await failed.catch((reason: unknown) => reason), error)
      await driver.transaction((tx) => insert(tx, 1))
      assert.deepEqual(await ids(), [1])
    }),

    it('rolls back when a statement of the work fails', async ({ driver, insert, ids }) => {
      await assert.rejects(driver.transaction((tx) => insert(tx, 1, 1)))
      assert.deepEqual(await ids(), [])
    }),

    it('reads in a transaction what it wrote', async ({ driver, insert, query, table }) => {
      await driver.transaction(async (tx) => {
        await insert(tx, 7)
        assert.equal((await query(`SELECT id FROM ${table}`, [], tx)).length, 1)
      })
    }),

    it('shows nothing uncommitted to a read without a transaction', async ({ driver, insert, ids }) => {
      const error = new Error('rolled back in the end')
      const written = gate()
      const hold = gate()
      const failed = driver.transaction(async (tx) => {
        await insert(tx, 1)
        written.open()
        await hold.passed
        throw error
      })
      await written.passed
      const read = ids()
      // The driver may answer while the transaction is open, or when it has ended.
      await Promise.race([read, someTurns()])
      hold.open()
      assert.equal(await failed.catch((reason: unknown) => reason), error)
      assert.deepEqual(await read, [])
    }),

    it('loses no update of transactions that are asked for at once', async ({
      driver,
      insert,
      increment,
      query,
      table,
    }) => {
      await driver.transaction((tx) => insert(tx, 1))
      const all = Array.from({ length: 20 }, () => driver.transaction((tx) => increment(tx, 1)))
      await Promise.all(all)
      const [row] = await query(`SELECT n FROM ${table}`)
      assert.equal(Number(row?.['n']), 20)
    }),

    ...(options.capabilities.pipelining === true
      ? [
          it('commits a statement that nobody has waited for, and nothing when it fails', async ({
            driver,
            ids,
            table,
          }) => {
            const sql = `INSERT INTO ${table} (id) VALUES (1)`
            const unawaited = (times: number): Promise<void> =>
              driver.transaction((tx) => {
                for (let i = 0; i < times; i++) driver.query(sql, [], tx).catch(() => undefined)
                return Promise.resolve()
              })
            // The second has the same key.
            await rejectsWith(unawaited(2), 'TRANSACTION_ENDED')
            assert.deepEqual(await ids(), [])
            await unawaited(1)
            assert.deepEqual(await ids(), [1])
          }),
        ]
      : []),

    it('says of itself what it is', ({ driver }) => {
      assert.deepEqual(driver.capabilities, options.capabilities)
      assert.equal(driver.dialect, options.dialect)
      assert.match(driver.name, /^[a-z0-9-]+$/)
      return Promise.resolve()
    }),

    ...(options.capabilities.concurrentTransactions
      ? [
          it('has two transactions open at the same time', async ({ driver, insert, ids, holdOpen }) => {
            const first = await holdOpen(driver, (tx) => insert(tx, 1))
            await driver.transaction((tx) => insert(tx, 2))
            assert.deepEqual(await ids(), [2])
            await first.end()
            assert.deepEqual(await ids(), [1, 2])
          }),
        ]
      : [
          it('has one transaction open at a time, in the order of asking', async ({ driver }) => {
            const log: string[] = []
            const all = ['a', 'b', 'c'].map((name) =>
              driver.transaction(async () => {
                log.push(`${name} begins`)
                await someTurns()
                log.push(`${name} ends`)
              }),
            )
            await Promise.all(all)
            assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
          }),

          it('refuses a transaction inside the work of another one', async ({ driver, insert, ids }) => {
            await driver.transaction(async (tx) => {
              await insert(tx, 1)
              await rejectsWith(
                driver.transaction((inner) => insert(inner, 2)),
                'TRANSACTION_INVALID',
              )
            })
            assert.deepEqual(await ids(), [1])
          }),

          it('allows a transaction that outlived work started', async ({ driver, insert, ids }) => {
            const late = gate()
            const writeLate = async (): Promise<void> => {
              await late.passed
              await driver.transaction((next) => insert(next, 2))
            }
            let after: Promise<void> | undefined
            await driver.transaction(async (tx) => {
              await insert(tx, 1)
              after = writeLate()
            })
            late.open()
            await after
            assert.deepEqual(await ids(), [1, 2])
          }),
        ]),
  ]
}
