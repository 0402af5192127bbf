import { TandemError } from '../../core/errors.ts'
import type { Row } from '../../spi/driver.ts'
import type { Fence } from '../../spi/store.ts'
import { lostFences } from '../shared/leases.ts'
import { textsByCount } from '../shared/statements.ts'
import { rowsOf, type MysqlContext } from './context.ts'

/** Checks, inside a transaction, that leases are still those that were handed out, and keeps them so until it ends. */
export interface Fences<Tx> {
  holds(tx: Tx, fences: readonly Fence[]): Promise<boolean>
  /**
   * @returns the rows of the leases, with the columns `more` of `createFences`
   * @throws TandemError `LEASE_LOST`
   */
  require(tx: Tx, fences: readonly Fence[]): Promise<readonly Row[]>
}

/** @param more SQL: further columns of each row, to ask in the same round trip; what they read is not locked */
export function createFences<Tx>({ tables, now, run }: MysqlContext<Tx>, more = ''): Fences<Tx> {
  // Shared locks, in one order, on rows that are there: nobody takes a lease over meanwhile. The oldest words for it are the ones that
  // both servers know.
  const current = textsByCount(
    (count) => `SELECT name, token${more} FROM ${tables.lease} FORCE INDEX (PRIMARY)
      WHERE name IN (${rowsOf('?', count)}) AND owner IS NOT NULL AND expires_at > ${now} ORDER BY name LOCK IN SHARE MODE`,
  )
  const held = async (tx: Tx, fences: readonly Fence[]): Promise<readonly Row[]> =>
    fences.length === 0
      ? []
      : (
          await run(
            tx,
            current(fences.length),
            fences.map(({ name }) => name),
          )
        ).rows

  return {
    holds: async (tx, fences) => lostFences(fences, await held(tx, fences)).length === 0,
    require: async (tx, fences) => {
      const rows = await held(tx, fences)
      const names = lostFences(fences, rows)
      if (names.length === 0) return rows
      throw new TandemError(
        'LEASE_LOST',
        `the lease ${names.join(', ')} has expired or belongs to another process; nothing was changed`,
      )
    },
  }
}
