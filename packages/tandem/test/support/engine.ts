import type { DatabaseSync } from 'node:sqlite'
import { Events, type TandemEvent, type TandemEvents } from '../../src/core/events.ts'
import { uuidv7 } from '../../src/core/ids.ts'
import { DEFAULT_LIMITS } from '../../src/core/limits.ts'
import { message, type AnyMessageType, type MessageOptions } from '../../src/core/message.ts'
import type { WireMessage } from '../../src/core/wire.ts'
import { LeaseKeeper } from '../../src/engine/lease-keeper.ts'
import { toOutgoing } from '../../src/engine/outgoing.ts'
import type { Runtime } from '../../src/engine/runtime.ts'
import type { Broker, BrokerCapabilities, PublishOutcome } from '../../src/spi/broker.ts'
import type { OutgoingMessage } from '../../src/spi/store.ts'
import { SimulatedClock } from './clock.ts'
import { testDatabase, type TestStore, type Tx } from './store.ts'

/** What a broker by hand answers to a message. Anything but an outcome is returned as it is. */
export type Answer = (message: WireMessage) => PublishOutcome | undefined

export const confirmed: PublishOutcome = { status: 'confirmed' }
export const retryable: PublishOutcome = { status: 'retryable', error: new Error('not now') }
export const permanent: PublishOutcome = { status: 'permanent', error: new Error('never') }
export const unknown: PublishOutcome = { status: 'unknown', error: new Error('no answer') }

/** A broker that only publishes, and answers what a test says. */
export class ScriptedBroker implements Broker {
  readonly name = 'scripted'
  readonly capabilities: BrokerCapabilities
  /** Every call of `publish`, as the numbers in the payloads. */
  readonly calls: number[][] = []
  answer: Answer = () => confirmed
  /** Stands in for the whole of `publish`. */
  publishing:
    | ((messages: readonly WireMessage[], signal: AbortSignal) => Promise<readonly PublishOutcome[]>)
    | undefined

  constructor(capabilities: Partial<BrokerCapabilities> = {}) {
    this.capabilities = {
      durable: false,
      countsDeliveries: false,
      stopsKeyOnFailure: false,
      replaysToNewGroups: false,
      maxBodyBytes: 1_000_000,
      ...capabilities,
    }
  }

  async publish(
    messages: readonly WireMessage[],
    options: { signal: AbortSignal },
  ): Promise<readonly PublishOutcome[]> {
    this.calls.push(messages.map(numberIn))
    if (this.publishing !== undefined) return this.publishing(messages, options.signal)
    return messages.map((one) => this.answer(one) as PublishOutcome)
  }

  open = async (): Promise<void> => undefined
  ensure = async (): Promise<void> => undefined
  consume = (): Promise<never> => Promise.reject(new Error('not scripted'))
  health = async (): Promise<{ ok: boolean; detail: string }> => ({ ok: true, detail: '' })
  close = async (): Promise<void> => undefined
}

/** Test messages carry a number, by which a test knows them. */
export const Numbered = message<{ n: number }>('numbered')

export function numberIn({ body }: { readonly body: Uint8Array }): number {
  return (JSON.parse(new TextDecoder().decode(body)) as { n: number }).n
}

export interface Kit {
  readonly clock: SimulatedClock
  readonly db: DatabaseSync
  readonly store: TestStore
  readonly runtime: Runtime<Tx>
  /** Everything that was told, as `[name, event]`. */
  readonly told: [TandemEvent, unknown][]
  readonly of: <E extends TandemEvent>(name: E) => TandemEvents[E][]
  /** Another process of the same service, on the same database. */
  readonly another: () => Runtime<Tx>
  readonly outgoing: (
    n: number,
    key?: string,
    options?: MessageOptions,
    type?: AnyMessageType,
  ) => Promise<OutgoingMessage>
  /** Commits a message with this number into the outbox. */
  readonly send: (n: number, key?: string, options?: MessageOptions) => Promise<string>
}

const EVENTS: readonly TandemEvent[] = [
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

/** The parts that engine tests are made of: a database in memory and simulated time. */
export async function engineKit(broker: Broker = new ScriptedBroker()): Promise<Kit> {
  const clock = new SimulatedClock()
  const { db, store } = await testDatabase(() => clock.now())
  const told: [TandemEvent, unknown][] = []
  const runtimeOf = (): Runtime<Tx> => {
    const events = new Events()
    for (const name of EVENTS) events.on(name, (event) => told.push([name, event]))
    return {
      service: 'test',
      process: { id: uuidv7(), host: 'host', pid: 1 },
      store,
      broker,
      clock,
      random: () => 0,
      newId: uuidv7,
      events,
      limits: DEFAULT_LIMITS,
    }
  }
  const runtime = runtimeOf()
  const outgoing: Kit['outgoing'] = async (n, key, options = {}, type = Numbered) => {
    const draft = (type as typeof Numbered)({ n }, { ...options, ...(key === undefined ? {} : { key }) })
    const [made] = await toOutgoing(draft, runtime)
    return made as OutgoingMessage
  }
  return {
    clock,
    db,
    store,
    runtime,
    told,
    of: <E extends TandemEvent>(name: E) =>
      told.flatMap(([one, event]) => (one === name ? [event as TandemEvents[E]] : [])),
    another: runtimeOf,
    outgoing,
    send: async (n, key, options) => {
      const made = await outgoing(n, key, options)
      await store.transaction((tx) => store.outbox.insert(tx, [made]))
      return made.id
    },
  }
}

/** A keeper that holds everything that `names` says. */
export async function leasesOn(runtime: Runtime<Tx>, ...names: readonly (readonly string[])[]): Promise<LeaseKeeper> {
  const leases = new LeaseKeeper(runtime, 10_000, () => undefined)
  for (const group of names) leases.want(group)
  await leases.tick()
  return leases
}

/** A store of which single steps are replaced. */
export function storeWith(
  store: TestStore,
  changes: { readonly [Area in keyof TestStore]?: Partial<TestStore[Area]> },
): TestStore {
  const merged = Object.entries(changes).map(([area, steps]) => [
    area,
    { ...(store[area as keyof TestStore] as object), ...(steps as object) },
  ])
  return { ...store, ...(Object.fromEntries(merged) as Partial<TestStore>) }
}
