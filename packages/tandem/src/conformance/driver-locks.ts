import assert from 'node:assert/strict'
import type { Driver } from '../spi/driver.ts'
import type { ConformanceCase } from './case.ts'
import { benchCases, rejectsWith, type Bench, type DriverConformanceOptions } from './driver-kit.ts'

/** Longest time, in milliseconds, that a waiting driver may keep the event loop to itself. Generous, for loaded machines. */
const LONGEST_BLOCK = 250

/** Waiting for a lock: how long, and without standing in anybody's way. */
export function lockCases<Tx>(options: DriverConformanceOptions<Tx>): ConformanceCase[] {
  const inProcess = ({ driver }: Bench<Tx>): Driver<Tx> => driver
  const elsewhere = ({ sibling }: Bench<Tx>): Driver<Tx> => {
    assert.ok(sibling)
    return sibling
  }
  return [
    ...casesBetween(options, 'locks in one process', inProcess),
    ...(options.siblings ? casesBetween(options, 'locks between connections', elsewhere) : []),
  ]
}

/** `other` gives the driver whose transaction is in the way. */
function casesBetween<Tx>(
  options: DriverConformanceOptions<Tx>,
  part: string,
  other: (bench: Bench<Tx>) => Driver<Tx>,
): ConformanceCase[] {
  const it = benchCases(options, part)
  /** Runs `body` while a transaction of the other driver holds row 1. */
  const blocked = async (bench: Bench<Tx>, body: (end: () => Promise<void>) => Promise<void>): Promise<void> => {
    const holder = other(bench)
    const { dialect } = holder
    const update = `UPDATE ${bench.table} SET n = n + 1 WHERE id = ${dialect === 'postgres' ? '$1' : '?'}`
    await bench.driver.transaction((tx) => bench.insert(tx, 1))
    const held = await bench.holdOpen(holder, async (tx) => void (await holder.query(update, [1], tx)))
    await body(() => held.end())
    await held.end()
  }

  return [
    it('gives up after lockTimeout with STORE_BUSY, and nothing is written', async (bench) => {
      const { driver, increment, query, table } = bench
      await blocked(bench, async () => {
        const asked = performance.now()
        await rejectsWith(
          driver.transaction((tx) => increment(tx, 1), { lockTimeout: 100 }),
          'STORE_BUSY',
          { retryable: true },
        )
        const waited = performance.now() - asked
        assert.ok(waited > 50 && waited < 5000, `waited ${Math.round(waited)} ms for a lockTimeout of 100`)
      })
      const [row] = await query(`SELECT n FROM ${table}`)
      assert.equal(Number(row?.['n']), 1)
    }),

    it('goes on when the lock is given in time', async (bench) => {
      const { driver, increment, query, table } = bench
      await blocked(bench, async (end) => {
        const waiting = driver.transaction((tx) => increment(tx, 1))
        await end()
        await waiting
      })
      const [row] = await query(`SELECT n FROM ${table}`)
      assert.equal(Number(row?.['n']), 2)
    }),

    it('does not block the event loop while it waits', async (bench) => {
      await blocked(bench, async () => {
        let last = performance.now()
        let longest = 0
        let ticks = 0
        const timer = setInterval(() => {
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
          ticks++
        }, 5)
        const waiting = bench.driver.transaction((tx) => bench.increment(tx, 1), { lockTimeout: 400 })
        await rejectsWith(waiting, 'STORE_BUSY')
        clearInterval(timer)
        assert.ok(
          ticks > 0 && longest < LONGEST_BLOCK,
          `${ticks} ticks, the longest pause was ${Math.round(longest)} ms`,
        )
      })
    }),

    it('reads while somebody else holds the lock, or when it is given', async (bench) => {
      let read: Promise<number[]> | undefined
      await blocked(bench, () => {
        read = bench.ids()
        return Promise.resolve()
      })
      assert.deepEqual(await read, [1])
    }),
  ]
}
