import { TandemError } from '../../core/errors.ts'
import type { Fence } from '../../spi/store.ts'
import { lostFences } from '../shared/leases.ts'
import type { SqliteContext } from './context.ts'

/** Checks, inside a transaction, that leases are still those that were handed out. */
export interface Fences<Tx> {
  holds(tx: Tx, fences: readonly Fence[]): Promise<boolean>
  /** @throws TandemError `LEASE_LOST` */
  require(tx: Tx, fences: readonly Fence[]): Promise<void>
}

export function createFences<Tx>({ tables, now, run }: SqliteContext<Tx>): Fences<Tx> {
  const current = `SELECT name, token FROM ${tables.lease}
    WHERE name IN (SELECT value FROM json_each(?)) AND owner IS NOT NULL AND expires_at > ${now}`

  async function lost(tx: Tx, fences: readonly Fence[]): Promise<readonly string[]> {
    const { rows } = await run(tx, current, [JSON.stringify(fences.map(({ name }) => name))])
    return lostFences(fences, rows)
  }

  return {
    holds: async (tx, fences) => (await lost(tx, fences)).length === 0,
    require: async (tx, fences) => {
      const names = await lost(tx, fences)
      if (names.length === 0) return
      throw new TandemError(
        'LEASE_LOST',
        `the lease ${names.join(', ')} has expired or belongs to another process; nothing was changed`,
      )
    },
  }
}
