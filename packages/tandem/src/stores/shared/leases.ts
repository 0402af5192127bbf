import { planLeases, type LeaseRow } from '../../core/leases.ts'
import type { Row } from '../../spi/driver.ts'
import type { Fence, ProcessInfo } from '../../spi/store.ts'
import { integer, optionalText, text } from './rows.ts'

/** Milliseconds for which a process that is gone is still shown. */
export const FORGET_AFTER = 3_600_000

/** What tells a group of leases from the others: its first name. */
export function wantedOf(groups: readonly (readonly string[])[]): string {
  return JSON.stringify(groups.flatMap((names) => names.slice(0, 1)))
}

export interface Exchange {
  readonly process: ProcessInfo
  readonly groups: readonly (readonly string[])[]
  /** The rows of the leases that `groups` names: `name`, `owner`, `token`, `expires_at`. */
  readonly leases: readonly Row[]
  /** The rows of the processes that are alive, this one included: `wanted`. */
  readonly processes: readonly Row[]
  /** The instant of the exchange, by the database's clock. */
  readonly at: number
}

/** What a process takes and what it renews; whatever else it holds it gives up. */
export function planExchange({ process, groups, leases, processes, at }: Exchange): {
  take: string[]
  renew: string[]
} {
  const contenders = new Map<string, number>()
  for (const row of processes) {
    for (const name of JSON.parse(text(row, 'wanted')) as string[]) {
      contenders.set(name, (contenders.get(name) ?? 0) + 1)
    }
  }
  const rows = leases.map((row): LeaseRow => {
    return {
      name: text(row, 'name'),
      owner: optionalText(row, 'owner'),
      token: integer(row, 'token'),
      expiresAt: integer(row, 'expires_at'),
    }
  })
  const plans = groups.map((names) =>
    planLeases(rows, process.id, { names, contenders: contenders.get(names[0] ?? '') ?? 1 }, at),
  )
  return { take: plans.flatMap((plan) => plan.take), renew: plans.flatMap((plan) => plan.renew) }
}

export function fenceOf(row: Row): Fence {
  return { name: text(row, 'name'), token: integer(row, 'token') }
}

/** The names of the fences that are not among the rows of the leases that are held now: `name`, `token`. */
export function lostFences(fences: readonly Fence[], current: readonly Row[]): readonly string[] {
  const tokens = new Map(current.map((row) => [text(row, 'name'), integer(row, 'token')]))
  return fences.filter(({ name, token }) => tokens.get(name) !== token).map(({ name }) => name)
}
