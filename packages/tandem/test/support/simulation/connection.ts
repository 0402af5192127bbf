import type { WireMessage } from '../../../src/core/wire.ts'
import type { Broker, Consumption, Delivery, PublishOutcome, Subscription } from '../../../src/spi/broker.ts'
import type { Mortal } from './mortal.ts'

/** What goes wrong when the broker is asked to publish. `index` counts the messages of one call. */
export type PublishFault =
  | { readonly kind: 'retryable' | 'permanent' | 'unknown-lost' | 'unknown-stored'; readonly index: number }
  | { readonly kind: 'throw-before' | 'throw-after' }

/** What a publication fails with that `throw-before` or `throw-after` was planned for. */
export class BrokerGone extends Error {}

/** A delivery that has come to the process and that it has not been shown yet. */
interface Waiting {
  readonly group: string
  readonly delivery: Delivery
  readonly deliver: (delivery: Delivery) => void
}

export interface ConnectionOptions {
  readonly mortal: Mortal
  /** Its own way in to the broker that all share. */
  readonly broker: Broker
  readonly stopsKeyOnFailure: boolean
  /** Called for each message that the broker has taken. */
  readonly published: (message: WireMessage) => void
}

/**
 * A process's connection to the broker. Deliveries wait until the simulation hands them over, which may be in another order, though
 * never in another one of a key; publications fail as the simulation says.
 */
export class SimulatedConnection implements Broker {
  readonly name = 'simulated'
  readonly capabilities: Broker['capabilities']
  readonly #options: ConnectionOptions
  readonly #waiting: Waiting[] = []
  #fault: PublishFault | undefined

  constructor(options: ConnectionOptions) {
    const { broker, mortal, stopsKeyOnFailure } = options
    this.#options = options
    this.capabilities = { ...broker.capabilities, stopsKeyOnFailure }
    mortal.whenDead(() => {
      this.#waiting.length = 0
      // What was delivered and not acked goes to others, or comes again.
      void broker.close(0)
    })
  }

  /** The next publication fails in this way. */
  fail(fault: PublishFault | undefined): void {
    this.#fault = fault
  }

  /** Deliveries that can be handed over. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Hands over up to `count` deliveries, beginning anywhere, and waits until they are settled. None overtakes an earlier one of its
   * group, topic and key.
   */
  async handOver(start: number, count: number): Promise<void> {
    const settled: Promise<void>[] = []
    for (let i = 0; i < count && this.#waiting.length > 0; i++) {
      const picked = this.#waiting[start % this.#waiting.length]
      if (picked === undefined) break
      const first = this.#waiting.findIndex((one) => laneOf(one) === laneOf(picked))
      const [one = picked] = this.#waiting.splice(first, 1)
      settled.push(this.#handOne(one))
    }
    await this.#options.mortal.live(() => Promise.all(settled))
  }

  #handOne({ delivery, deliver }: Waiting): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { mortal } = this.#options
    const settle = (act: () => void): void => {
      if (mortal.dead) return
      act()
      resolve()
    }
    void mortal.live(async () =>
      deliver({
        ...delivery,
        ack: () => settle(() => delivery.ack()),
        nack: (delay) => settle(() => delivery.nack(delay)),
      }),
    )
    return promise
  }

  publish(messages: readonly WireMessage[], options: { readonly signal: AbortSignal }): Promise<PublishOutcome[]> {
    return this.#options.mortal.whileAlive(() => this.#publish(messages, options))
  }

  async #publish(
    messages: readonly WireMessage[],
    options: { readonly signal: AbortSignal },
  ): Promise<PublishOutcome[]> {
    const { broker, published, stopsKeyOnFailure } = this.#options
    const fault = this.#fault
    this.#fault = undefined
    if (fault?.kind === 'throw-before') throw new BrokerGone('before it was asked')
    const store = async (message: WireMessage): Promise<PublishOutcome> => {
      const [outcome] = await broker.publish([message], options)
      published(message)
      return outcome as PublishOutcome
    }
    const refused = new Set<string>()
    const outcomes: PublishOutcome[] = []
    const hit = fault !== undefined && 'index' in fault ? fault.index % messages.length : -1
    for (const [i, message] of messages.entries()) {
      const lane = message.key === undefined ? undefined : `${message.topic}\n${message.key}`
      if (lane !== undefined && refused.has(lane)) {
        outcomes.push({ status: 'retryable', error: new Error('kept back') })
        continue
      }
      if (i !== hit) {
        outcomes.push(await store(message))
        continue
      }
      if (lane !== undefined && stopsKeyOnFailure) refused.add(lane)
      if (fault?.kind === 'unknown-stored') await store(message)
      const status = fault?.kind === 'retryable' || fault?.kind === 'permanent' ? fault.kind : 'unknown'
      outcomes.push({ status, error: new Error(`simulated: ${status}`) })
    }
    if (fault?.kind === 'throw-after') throw new BrokerGone('before it answered')
    return outcomes
  }

  async consume(subscription: Subscription, deliver: (delivery: Delivery) => void): Promise<Consumption> {
    const { group } = subscription
    return this.#options.broker.consume(subscription, (delivery) => {
      if (!this.#options.mortal.dead) this.#waiting.push({ group, delivery, deliver })
    })
  }

  open = (context: { readonly service: string }): Promise<void> => this.#options.broker.open(context)
  ensure: Broker['ensure'] = (topology) => this.#options.broker.ensure(topology)
  health: Broker['health'] = () => this.#options.broker.health()
  close = async (deadline: number): Promise<void> => {
    this.#waiting.length = 0
    await this.#options.broker.close(deadline)
  }
}

function laneOf({ group, delivery: { message } }: Waiting): unknown {
  // Those without a key have no order: each is a lane of its own.
  return message.key === undefined ? message : `${group}\n${message.topic}\n${message.key}`
}
