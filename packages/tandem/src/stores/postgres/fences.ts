import { TandemError } from '../../core/errors.ts'
import type { Fence } from '../../spi/store.ts'
import { lostFences } from '../shared/leases.ts'
import { anyText, type PostgresContext } from './context.ts'

/** Checks, inside a transaction, that leases are still those that were handed out, and keeps them so until it ends. */
export interface Fences<Tx> {
  holds(tx: Tx, fences: readonly Fence[]): Promise<boolean>
  /** @throws TandemError `LEASE_LOST` */
  require(tx: Tx, fences: readonly Fence[]): Promise<void>
}

/** The rows of the leases that are held now, locked so that nobody takes them over meanwhile. `parameter`: a JSON list of names. */
export function heldLeases({ tables, now }: Pick<PostgresContext<never>, 'tables' | 'now'>, parameter: string): string {
  return `SELECT name, token::int8 AS token FROM ${tables.lease}
    WHERE name = ${anyText(parameter)} AND owner IS NOT NULL AND expires_at > ${now} ORDER BY name FOR SHARE`
}

export function namesOf(fences: readonly Fence[]): string {
  return JSON.stringify(fences.map(({ name }) => name))
}

export function createFences<Tx>(context: PostgresContext<Tx>): Fences<Tx> {
  const current = heldLeases(context, '$1')
  const lost = async (tx: Tx, fences: readonly Fence[]): Promise<readonly string[]> =>
    lostFences(fences, (await context.run(tx, current, [namesOf(fences)])).rows)
  return {
    holds: async (tx, fences) => (await lost(tx, fences)).length === 0,
    require: async (tx, fences) => {
      const names = await lost(tx, fences)
      if (names.length > 0) throw leaseLost(names)
    },
  }
}

export function leaseLost(names: readonly string[]): TandemError {
  return new TandemError(
    'LEASE_LOST',
    `the lease ${names.join(', ')} has expired or belongs to another process; nothing was changed`,
  )
}
