import type { Clock, Random } from '../core/clock.ts'
import type { Events } from '../core/events.ts'
import type { Limits } from '../core/limits.ts'
import type { Broker } from '../spi/broker.ts'
import type { ProcessInfo, Store } from '../spi/store.ts'

/** What every part of one Tandem instance shares. */
export interface Runtime<Tx> {
  readonly service: string
  readonly process: ProcessInfo
  readonly store: Store<Tx>
  readonly broker: Broker
  readonly clock: Clock
  readonly random: Random
  /** Makes the ids of messages. */
  readonly newId: () => string
  readonly events: Events
  readonly limits: Limits
}

/** `host:pid`, as attempts record it. */
export function processName(process: ProcessInfo): string {
  return `${process.host}:${process.pid}`
}
