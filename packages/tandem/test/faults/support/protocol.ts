import type { TandemEvent } from '../../../src/core/events.ts'
import type { ConsumeOptions } from '../../../src/inbox/options.ts'
import type { TandemOptions } from '../../../src/index.ts'
import type { Order } from './messages.ts'

/** Over TCP. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

export type ServiceName = 'order' | 'stock'

type Section = 'check' | 'relay' | 'retention'

/** How a service reaches its database on a server. */
export interface ServerSettings {
  readonly kind: 'postgres' | 'mariadb'
  readonly address: ServerAddress
  /** Settings of the server for every connection. */
  readonly session?: Readonly<Record<string, string | number>>
  /** Options of the pool; those with a `_` are PostgreSQL's. */
  readonly pool?: { readonly max?: number; readonly query_timeout?: number }
}

export type ServerKind = ServerSettings['kind']

/** Where a service has its tables. `sqlite`: in a file of the service's name, in the folder. */
export type DatabaseSettings = { readonly kind: 'sqlite' } | ServerSettings

/** What a child process is told before it starts. */
export interface Settings extends Pick<TandemOptions<unknown>, Section> {
  readonly folder: string
  readonly database: DatabaseSettings
  /** Of the store's leases and of the broker's. */
  readonly lease: number
  readonly consume: Omit<ConsumeOptions, 'transaction'> & { readonly transaction?: boolean }
  /** Milliseconds to wait for a lock: of a file, or of a row. */
  readonly lockTimeout?: number
  readonly maxBodyBytes?: number
  /** Which of the checks are registered. */
  readonly checks: readonly ('orders.placed' | 'orders.noted')[]
  /** What the broker says to messages with `refuse`, until the command `accept`. */
  readonly refuse?: 'retryable' | 'permanent'
  /** Whether handlers that are to hold do so. */
  readonly holds: boolean
  readonly migrate: boolean
  /** Limits the files until the command `room`. */
  readonly maxPages?: { readonly store?: number; readonly broker?: number }
}

/** What a child can be asked to do, and what it answers. */
export interface Commands {
  /** Writes orders and sends their messages, in one transaction. `fail`: throws at its end. */
  place: { with: { orders: readonly Order[]; fail?: boolean; deliverIn?: number }; gives: void }
  /** As `place`, but the transaction stays open until `release`. */
  placeSlowly: { with: { orders: readonly Order[] }; gives: void }
  /** `limbo`: leaves the half message prepared, as if the process had died with the local transaction committed or not begun. */
  transact: {
    with: { order: Order; limbo?: 'committed' | 'not-begun'; hold?: boolean; fail?: boolean }
    gives: void
  }
  /** Without a barrier, and nothing more. */
  prepare: { with: { order: Order; noted?: boolean }; gives: string }
  /** The local transaction alone: writes an order and sends nothing. */
  write: { with: { order: Order }; gives: void }
  /** A transaction that changes the second counter, holds under this name, and changes the first. */
  cross: { with: { order: string }; gives: void }
  /** Lets what holds for this order go on. */
  release: { with: { order: string }; gives: void }
  resolve: { with: object; gives: readonly { group: string; id: string }[] }
  replay: { with: { refs?: readonly { group: string; id: string }[] }; gives: readonly string[] }
  retryHeld: { with: { ids: readonly string[] }; gives: void }
  decide: { with: { id: string; decision: 'commit' | 'rollback' }; gives: void }
  accept: { with: object; gives: void }
  room: { with: object; gives: void }
  /** Moves what this process believes the time of day to be. */
  jump: { with: { ms: number }; gives: void }
  stop: { with: { deadline?: number }; gives: number }
}

export type CommandName = keyof Commands

export interface Request {
  readonly id: number
  readonly name: CommandName
  readonly input: unknown
}

export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly code: string; readonly text: string }
  /** An error in the data has become its code and text. */
  | { readonly kind: 'event'; readonly name: TandemEvent; readonly data: Record<string, unknown> }
  /** A handler, a check or a local transaction has begun and is where it may hold. */
  | { readonly kind: 'begun'; readonly order: string; readonly attempt: number }
  /** The next thing that happens to it is SIGSTOP. */
  | { readonly kind: 'freezing' }
  /** Something that must never happen: an unhandled rejection, an uncaught exception. */
  | { readonly kind: 'fault'; readonly text: string }
  | { readonly kind: 'start-failed'; readonly code: string; readonly text: string }

export const EVENTS: readonly TandemEvent[] = [
  'message.published',
  'message.held',
  'message.unsendable',
  'message.handled',
  'message.duplicate',
  'message.failed',
  'message.blocked',
  'message.dead',
  'half.checked',
  'half.resolved',
  'half.undecided',
  'loop.failed',
  'loop.recovered',
  'warning',
]
