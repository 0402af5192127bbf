import assert from 'node:assert/strict'
import type { Driver } from '../spi/driver.ts'
import type { ConformanceCase } from './case.ts'
import { benchCases, gate, rejectsWith, type DriverConformanceOptions } from './driver-kit.ts'

/** The object that the work is given: told apart from everything else, and worth nothing afterwards. */
export function transactionObjectCases<Tx>(options: DriverConformanceOptions<Tx>): ConformanceCase[] {
  const it = benchCases(options, 'transaction objects')
  return [
    it('is open in the work and ended after commit', async ({ driver }) => {
      const tx = await driver.transaction((open) => {
        assert.equal(driver.inspect(open), 'open')
        return Promise.resolve(open)
      })
      assert.equal(driver.inspect(tx), 'ended')
    }),

    it('is ended after rollback', async ({ driver }) => {
      assert.equal(driver.inspect(await rolledBack(driver)), 'ended')
    }),

    it('is still ended while another transaction is open', async ({ driver }) => {
      const old = await rolledBack(driver)
      await driver.transaction((tx) => {
        assert.equal(driver.inspect(old), 'ended')
        assert.equal(driver.inspect(tx), 'open')
        return Promise.resolve()
      })
    }),

    it('is foreign to a driver of another database', async ({ driver, stranger, holdOpen, query, table }) => {
      const held = await holdOpen(stranger, () => Promise.resolve())
      assert.equal(driver.inspect(held.tx), 'foreign')
      await rejectsWith(query(`SELECT id FROM ${table}`, [], held.tx), 'TRANSACTION_INVALID')
      await held.end()
      assert.equal(driver.inspect(held.tx), 'foreign')
    }),

    it('is told apart from everything that is none', ({ driver }) => {
      const others = [undefined, null, 0, 'tx', true, {}, [], () => undefined, new Map(), Promise.resolve(), driver]
      assert.deepEqual(
        others.map((candidate) => driver.inspect(candidate)),
        others.map(() => 'foreign'),
      )
      return Promise.resolve()
    }),

    it('takes no statement after commit', async ({ driver, insert, ids }) => {
      const tx = await driver.transaction((open) => Promise.resolve(open))
      await rejectsWith(insert(tx, 1), 'TRANSACTION_ENDED')
      assert.deepEqual(await ids(), [])
    }),

    it('takes no statement of work that outlived it, not even while the next one is open', async (bench) => {
      const { driver, insert, ids } = bench
      const late = gate()
      let outlived: Promise<void> | undefined
      const failed = driver.transaction(async (tx) => {
        outlived = late.passed.then(() => insert(tx, 1))
        await Promise.reject(new Error('the handler took too long'))
      })
      await assert.rejects(failed, /took too long/)
      await driver.transaction(async (tx) => {
        await insert(tx, 2)
        late.open()
        assert.ok(outlived)
        await rejectsWith(outlived, 'TRANSACTION_ENDED')
      })
      assert.deepEqual(await ids(), [2])
    }),

    it('takes no script after it has ended', async ({ driver, table, ids }) => {
      const tx = await rolledBack(driver)
      await rejectsWith(driver.script(`INSERT INTO ${table} (id) VALUES (1)`, tx), 'TRANSACTION_ENDED')
      assert.deepEqual(await ids(), [])
    }),
  ]
}

async function rolledBack<Tx>(driver: Driver<Tx>): Promise<Tx> {
  const { promise, resolve } = Promise.withResolvers<Tx>()
  const failed = driver.transaction((tx) => {
    resolve(tx)
    return Promise.reject(new Error('rolled back'))
  })
  await assert.rejects(failed, /rolled back/)
  return promise
}
