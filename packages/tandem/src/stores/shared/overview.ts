import type { HalfState } from '../../core/half-state.ts'
import type { InboxState } from '../../core/inbox-state.ts'
import type { HeldState, Overview } from '../../spi/admin-store.ts'
import type { Row } from '../../spi/driver.ts'
import { flag, integer, optionalInteger, text } from './rows.ts'

type InboxStates = Record<InboxState, number>

/** The rows that an overview is made of. */
export interface OverviewRows {
  /**
   * One row: `now`, `version`, `unsent`, `oldest_age`, `blocked_keys`, and in milliseconds `oldest_retrying`, `oldest_half`, `oldest_dead`,
   * `oldest_finished`, all null where there is none; `size`, in bytes, null where only those of the tables are known, or none.
   */
  readonly single: Row
  /** `state`, `count`. */
  readonly held: readonly Row[]
  readonly half: readonly Row[]
  /** `group_name`, `state`, `count`; the state `all` counts the inbox, the others the messages that once failed. */
  readonly inbox: readonly Row[]
  /** `name`, `row_count`, `size` in bytes or null: of the tables in `SIZED_TABLES`, in any order. */
  readonly tables: readonly Row[]
  /** `id`, `host`, `pid`, `alive`, `seen_at`, `leases` as a JSON list. */
  readonly processes: readonly Row[]
}

/** The tables that can grow. */
export const SIZED_TABLES = [
  'outbox',
  'outbox_held',
  'half',
  'barrier',
  'inbox',
  'inbox_failure',
  'inbox_attempt',
  'audit',
] as const

export function overviewOf({ single, held, half, inbox, tables, processes }: OverviewRows): Overview {
  const age = (column: string): number | undefined => {
    const value = optionalInteger(single, column)
    return value === undefined ? undefined : Math.max(0, value)
  }
  return {
    now: integer(single, 'now'),
    schemaVersion: integer(single, 'version'),
    outbox: {
      unsent: integer(single, 'unsent'),
      oldestAge: optionalInteger(single, 'oldest_age'),
      held: counted<HeldState>(held, { delayed: 0, waiting: 0, behind: 0, unsendable: 0 }),
    },
    half: counted<HalfState>(half, { prepared: 0, committed: 0, 'rolled-back': 0, undecided: 0 }),
    inbox: inboxOf(inbox),
    blockedKeys: integer(single, 'blocked_keys'),
    oldest: {
      retrying: age('oldest_retrying'),
      half: age('oldest_half'),
      dead: age('oldest_dead'),
      finished: age('oldest_finished'),
    },
    size: sizeOf(optionalInteger(single, 'size'), tables),
    processes: processes.map((row) => {
      return {
        id: text(row, 'id'),
        host: text(row, 'host'),
        pid: integer(row, 'pid'),
        alive: flag(row, 'alive'),
        seenAt: integer(row, 'seen_at'),
        leases: JSON.parse(text(row, 'leases')) as string[],
      }
    }),
  }
}

function sizeOf(all: number | undefined, rows: readonly Row[]): Overview['size'] {
  const found = new Map(rows.map((row) => [text(row, 'name'), row]))
  const tables = SIZED_TABLES.map((name) => {
    const row = found.get(name) ?? {}
    return { name, rows: optionalInteger(row, 'row_count') ?? 0, bytes: optionalInteger(row, 'size') }
  })
  const sum = tables.every(({ bytes }) => bytes !== undefined)
    ? tables.reduce((total, { bytes = 0 }) => total + bytes, 0)
    : undefined
  return { bytes: all ?? sum, tables }
}

function counted<State extends string>(rows: readonly Row[], zero: Record<State, number>): Record<State, number> {
  const counts = { ...zero }
  for (const row of rows) counts[text(row, 'state') as State] = integer(row, 'count')
  return counts
}

function inboxOf(rows: readonly Row[]): Overview['inbox'] {
  const groups = new Map<string, InboxStates>()
  for (const row of rows) {
    const group = text(row, 'group_name')
    const states = groups.get(group) ?? { handled: 0, retrying: 0, blocked: 0, dead: 0, discarded: 0 }
    groups.set(group, states)
    const count = integer(row, 'count')
    if (text(row, 'state') === 'all') states.handled += count
    else {
      states[text(row, 'state') as InboxState] += count
      // What has no failure row was handled.
      states.handled -= count
    }
  }
  return [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([group, states]) => ({ group, states }))
}
