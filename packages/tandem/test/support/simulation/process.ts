import { Events } from '../../../src/core/events.ts'
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts'
import type { AnyMessageType } from '../../../src/core/message.ts'
import { Checker, type CheckAnswerer } from '../../../src/engine/checker.ts'
import { LeaseKeeper } from '../../../src/engine/lease-keeper.ts'
import { Relay } from '../../../src/engine/relay.ts'
import { Retrier } from '../../../src/engine/retrier.ts'
import type { Runtime } from '../../../src/engine/runtime.ts'
import type { HalfParts } from '../../../src/half/half.ts'
import { Consumer } from '../../../src/inbox/consumer.ts'
import type { Group } from '../../../src/inbox/group.ts'
import { GroupRegistry } from '../../../src/inbox/groups.ts'
import type { ConsumeOptions, Handler } from '../../../src/inbox/options.ts'
import { retryOne } from '../../../src/inbox/retry.ts'
import type { Broker } from '../../../src/spi/broker.ts'
import type { TestStore, Tx } from '../store.ts'
import { SimulatedConnection } from './connection.ts'
import { Mortal } from './mortal.ts'

/** How long a process may be silent before others take its work, in milliseconds. */
const LEASE = 10_000
const SCHEDULE = { transactionTimeOut: 6000, transactionCheckInterval: 30_000, transactionCheckMax: 3 }

const NO_SIGNAL = new AbortController().signal

/** What every process of a service runs. */
export interface ServiceProgram {
  readonly name: string
  readonly consumes: readonly {
    readonly types: readonly AnyMessageType[]
    readonly handler: (process: SimulatedProcess) => Handler<Tx, never>
    readonly options: ConsumeOptions & { readonly group: string }
  }[]
  readonly checks: readonly { readonly type: string; readonly answer: CheckAnswerer }[]
}

export interface ProcessParts {
  readonly name: string
  readonly program: ServiceProgram
  readonly store: TestStore
  readonly broker: Broker
  readonly stopsKeyOnFailure: boolean
  readonly now: () => number
  readonly newId: () => string
  readonly published: ConstructorParameters<typeof SimulatedConnection>[0]['published']
}

/** One process of a service: every part of the engine, stepped by hand. */
export class SimulatedProcess extends Mortal {
  readonly service: string
  readonly connection: SimulatedConnection
  readonly runtime: Runtime<Tx>
  readonly half: HalfParts<Tx>
  readonly #leases: LeaseKeeper
  readonly #relay: Relay
  readonly #checker: Checker
  readonly #consumers: readonly Consumer<Tx>[]
  readonly #retriers: readonly Retrier[]
  /** Runs before the next transaction of this process begins, once. */
  #before: (() => Promise<void>) | undefined
  /** Milliseconds for which the process was frozen without noticing. */
  #frozenFor = 0

  constructor({ name, program, store, broker, stopsKeyOnFailure, now, newId, published }: ProcessParts) {
    super(name)
    this.service = program.name
    this.connection = new SimulatedConnection({ mortal: this, broker, stopsKeyOnFailure, published })
    this.runtime = {
      service: program.name,
      process: { id: name, host: 'simulated', pid: 1 },
      store: this.store(store, () => this.#beforeTransaction()),
      broker: this.connection,
      clock: {
        now,
        monotonic: () => now() - this.#frozenFor,
        // Nothing here has to wait for time: what would is stepped by hand.
        sleep: (_ms, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
      },
      random: () => 0.5,
      newId,
      events: new Events(),
      limits: DEFAULT_LIMITS,
    }
    this.#leases = new LeaseKeeper(this.runtime, LEASE, () => undefined)
    this.#relay = new Relay(this.runtime, this.#leases, { batchSize: 20, pollInterval: 100, giveUpAfter: 60_000 })
    this.#checker = new Checker(this.runtime, this.#leases, SCHEDULE, () => undefined)
    this.half = { runtime: this.runtime, schedule: SCHEDULE, committed: () => undefined }
    for (const { type, answer } of program.checks) this.#checker.answer(type, answer)
    this.#leases.want(Array.from({ length: store.capabilities.shards }, (_, shard) => `relay/${shard}`))
    this.#leases.want(['checker'])

    const registry = new GroupRegistry<Tx>()
    for (const { types, handler, options } of program.consumes) {
      registry.add(types, handler(this), options, options.group)
    }
    const groups = registry.all({ concurrency: 1 }).map((settled): Group<Tx> => {
      return {
        ...settled,
        runtime: this.runtime,
        lease: LEASE,
        cutting: NO_SIGNAL,
        sent: () => undefined,
        setAside: () => undefined,
      }
    })
    this.#consumers = groups.map((group) => new Consumer(group))
    this.#retriers = groups.map((group) => {
      const { name: groupName, settings } = group
      this.#leases.want([`retrier/${groupName}`])
      return new Retrier(this.runtime, this.#leases, {
        group: groupName,
        concurrency: settings.concurrency,
        handle: (message) => retryOne(group, message),
      })
    })
  }

  async start(): Promise<void> {
    await this.connection.open({ service: this.service })
    await this.live(async () => {
      for (const consumer of this.#consumers) await consumer.start()
      await this.#leases.tick()
    })
  }

  /** The world's clock goes on and this process does not see it: it was paused. */
  freeze(ms: number): void {
    this.#frozenFor += ms
  }

  /** Something happens between this process's last step and the beginning of its next transaction. */
  beforeNextTransaction(act: () => Promise<void>): void {
    this.#before = act
  }

  async renew(): Promise<void> {
    await this.live(() => this.#leases.tick())
  }

  /** Rejects as a round of the relay does. */
  async relay(): Promise<void> {
    await this.live(() => this.#relay.tick(NO_SIGNAL))
  }

  async check(): Promise<void> {
    await this.live(() => this.#checker.tick(NO_SIGNAL))
  }

  async retry(): Promise<void> {
    await this.live(async () => {
      for (const retrier of this.#retriers) {
        await retrier.tick(NO_SIGNAL)
        await retrier.settled()
      }
    })
  }

  /** Ends it as a process is ended that is deployed anew. */
  async stop(): Promise<void> {
    await this.live(async () => {
      await Promise.all([...this.#consumers.map((one) => one.stop(0)), ...this.#retriers.map((one) => one.stop())])
      await Promise.all([this.#relay.stop(), this.#checker.stop()])
      await this.#leases.stop()
    })
    this.die()
  }

  async #beforeTransaction(): Promise<void> {
    const act = this.#before
    this.#before = undefined
    await act?.()
  }
}
