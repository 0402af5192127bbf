import { systemClock } from '../../core/clock.ts'
import type { Driver } from '../../spi/driver.ts'
import { NOW } from './log.ts'

const EVERY = 60_000
/** Messages that one transaction deletes at most, so that publishers never wait long for it. */
const BATCH = 1000
/** Milliseconds between two of them. */
const BREAK = 30

/**
 * Deletes messages that are older than `retention` ms and that every group of their topic has passed, if no other process does so at
 * this time. A topic that no group has ever consumed keeps its messages.
 *
 * @returns how many were deleted; undefined if it is another process's turn, or not yet time
 */
export async function expireMessages<Tx>(
  driver: Driver<Tx>,
  retention: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (!(await takeTurn(driver))) return undefined
  const { rows } = await driver.query(
    'SELECT topic, partition, min(position) AS passed FROM broker_position GROUP BY topic, partition',
    [],
  )
  let total = 0
  for (const row of rows) {
    for (let deleted = BATCH; deleted === BATCH && !signal.aborted; total += deleted) {
      const where = [row['topic'] as number, row['partition'] as number, row['passed'] as number, retention]
      if (!(await anyOld(driver, where))) break
      deleted = await driver.transaction(async (tx) => (await driver.query(DELETE, where, tx)).changed)
      // Those who wait for the lock in other processes look for it now and then only.
      await systemClock.sleep(BREAK, signal)
    }
  }
  return total
}

/** The oldest of a partition only: times ascend with the sequence, so nothing else needs to be looked at. */
const OLDEST = `SELECT sequence, published_at FROM broker_message
  WHERE topic = ? AND partition = ? AND sequence <= ? ORDER BY sequence`
const DELETE = `DELETE FROM broker_message WHERE sequence IN (
  SELECT sequence FROM (${OLDEST} LIMIT ${BATCH}) WHERE published_at < ${NOW} - ?)`

async function anyOld<Tx>(driver: Driver<Tx>, where: readonly number[]): Promise<boolean> {
  const { rows } = await driver.query(`SELECT 1 FROM (${OLDEST} LIMIT 1) WHERE published_at < ${NOW} - ?`, where)
  return rows.length > 0
}

/** Looks first, so that all processes but one write nothing. */
async function takeTurn<Tx>(driver: Driver<Tx>): Promise<boolean> {
  const isDue = `SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM broker_chore WHERE name = 'retention' AND due_at > ${NOW})`
  if ((await driver.query(isDue, [])).rows.length === 0) return false
  return driver.transaction(async (tx) => {
    if ((await driver.query(isDue, [], tx)).rows.length === 0) return false
    await driver.query(
      `INSERT INTO broker_chore (name, due_at) VALUES ('retention', ${NOW} + ${EVERY})
       ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at`,
      [],
      tx,
    )
    return true
  })
}
