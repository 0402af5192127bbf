import type { Verdict } from '../core/inbox-state.ts'
import type { Runtime } from '../engine/runtime.ts'
import { isTandemError } from '../core/errors.ts'
import type { Registration } from './incoming.ts'
import type { GroupSettings } from './options.ts'

/** One consumer group in one process: what its deliveries and its retries share. */
export interface Group<Tx> {
  readonly runtime: Runtime<Tx>
  readonly name: string
  readonly topics: readonly string[]
  readonly registrations: ReadonlyMap<string, Registration<Tx>>
  readonly settings: GroupSettings
  /** Milliseconds after which a retry whose process died is due again. */
  readonly lease: number
  /** Aborted when the deadline of `stop` is over; handlers see it as their signal. */
  readonly cutting: AbortSignal
  /** Called after a commit that has put messages into the outbox: the relay has work. */
  readonly sent: () => void
  /** Called when a message was set aside or let go on. */
  readonly setAside: () => void
}

/** What telling an event needs of a group. */
type Teller = Pick<Group<never>, 'name'> & { readonly runtime: Pick<Runtime<never>, 'events'> }

interface Named {
  readonly id: string
  readonly type: string
}

export function tellHandled(group: Teller, { id, type }: Named, attempt: number): void {
  group.runtime.events.emit('message.handled', () => ({ group: group.name, id, type, attempt }))
}

export function tellDuplicate(group: Teller, { id, type }: Named): void {
  group.runtime.events.emit('message.duplicate', () => ({ group: group.name, id, type }))
}

export function tellFailure(group: Teller, { id, type }: Named, attempt: number, error: string, next: Verdict): void {
  const told = { group: group.name, id, type, attempt, error }
  const { events } = group.runtime
  if (next.state === 'dead') events.emit('message.dead', () => ({ ...told, reason: next.reason }))
  else events.emit('message.failed', () => ({ ...told, delay: next.delay }))
}

/** Whether an error says something about the store rather than about the message. */
export function isStoreFailure(error: unknown): boolean {
  return isTandemError(error) && error.retryable && error.code.startsWith('STORE_')
}
