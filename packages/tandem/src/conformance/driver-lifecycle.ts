import assert from 'node:assert/strict'
import type { ConformanceCase } from './case.ts'
import { benchCases, rejectsWith, someTurns, type DriverConformanceOptions } from './driver-kit.ts'

/** Opening and closing. */
export function lifecycleCases<Tx>(options: DriverConformanceOptions<Tx>): ConformanceCase[] {
  const it = benchCases(options, 'life cycle')
  return [
    it('may be opened again while it is open', async ({ driver, insert, ids }) => {
      await Promise.all([driver.open({ service: 'conformance' }), driver.open({ service: 'conformance' })])
      await driver.transaction((tx) => insert(tx, 1))
      assert.deepEqual(await ids(), [1])
    }),

    it('takes nothing after close, and says that waiting does not help', async ({ driver, query, table }) => {
      await driver.close()
      let ran = false
      const transaction = driver.transaction(() => {
        ran = true
        return Promise.resolve()
      })
      await rejectsWith(transaction, 'STORE_UNAVAILABLE', { retryable: false })
      await rejectsWith(query(`SELECT id FROM ${table}`), 'STORE_UNAVAILABLE', { retryable: false })
      assert.equal(ran, false)
    }),

    it('may be closed twice', async ({ driver }) => {
      await Promise.all([driver.close(), driver.close()])
      await driver.close()
    }),

    it('waits with close for the transaction that is open, which commits', async ({ driver, insert, holdOpen }) => {
      const held = await holdOpen(driver, (tx) => insert(tx, 1))
      let closed = false
      const closing = driver.close().then(() => {
        closed = true
      })
      await someTurns()
      assert.equal(closed, false)
      await insert(held.tx, 2)
      await held.end()
      await closing
    }),

    // Where transactions are concurrent, nobody waits to begin.
    ...(options.capabilities.concurrentTransactions
      ? []
      : [
          it('turns away whoever has not begun when it is closed', async ({ driver, insert, holdOpen }) => {
            const held = await holdOpen(driver, (tx) => insert(tx, 1))
            const waiting = driver.transaction((tx) => insert(tx, 2))
            const refused = rejectsWith(waiting, 'STORE_UNAVAILABLE', { retryable: false })
            const closing = driver.close()
            await refused
            await held.end()
            await closing
          }),
        ]),
  ]
}
