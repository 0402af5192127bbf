import { systemClock, type Clock } from '../../core/clock.ts'
import { TandemError } from '../../core/errors.ts'
import { checkNumber, checkOptions } from '../../core/limits.ts'
import type { WireMessage } from '../../core/wire.ts'
import type {
  Broker,
  BrokerCapabilities,
  Consumption,
  Delivery,
  PublishOutcome,
  Subscription,
  Topology,
} from '../../spi/broker.ts'
import { MemoryLog } from './log.ts'
import { Members, type Member } from './members.ts'

export interface MemoryBrokerOptions {
  /** Times the delays of `nack`. Default: the system's. Nothing else in this broker waits for time. */
  readonly clock?: Clock
  /** Largest body. Default 4,194,304. */
  readonly maxBodyBytes?: number
  /** Messages per topic and partition that stay after every group has passed them, at least. Default 1,000. */
  readonly retain?: number
}

/**
 * The whole queue in one object. Pass it to every Tandem instance of the process; `close` then takes effect for the last one.
 */
export interface MemoryBroker extends Broker {
  /** Another way in to the same topics, with a life of its own: what it consumes ends when it is closed, and not before. */
  connect(): Broker
}

/**
 * A broker inside one process.
 *
 * Deterministic: deliveries happen in a microtask after the caller's stack, one message of each partition in turn; only the delay of a
 * `nack` waits for the clock. A topic has 8 partitions, shared out among the members of a group in the order in which they joined.
 * `attempt` counts every delivery of the message to its group.
 *
 * @throws TandemError `OPTION_UNKNOWN`, `CONFIG_INVALID`
 */
export function memory(options: MemoryBrokerOptions = {}): MemoryBroker {
  checkOptions('memory broker', options, ['clock', 'maxBodyBytes', 'retain'])
  const number = (name: 'maxBodyBytes' | 'retain', fallback: number): number =>
    checkNumber(`memory broker: ${name}`, options[name], { min: 1, integer: true, default: fallback })
  const clock = options.clock ?? systemClock
  const log = new MemoryLog(number('retain', 1000))
  const shared: Shared = {
    clock,
    log,
    members: new Members(log, clock),
    capabilities: {
      durable: false,
      countsDeliveries: true,
      stopsKeyOnFailure: true,
      replaysToNewGroups: true,
      maxBodyBytes: number('maxBodyBytes', 4_194_304),
    },
  }
  const root = new Handle(shared, true)
  return Object.assign(root, { connect: () => new Handle(shared, false) })
}

interface Shared {
  readonly clock: Clock
  readonly log: MemoryLog
  readonly members: Members
  readonly capabilities: BrokerCapabilities
}

class Handle implements Broker {
  readonly name = 'memory'
  readonly capabilities: BrokerCapabilities
  readonly #shared: Shared
  readonly #manyOwners: boolean
  readonly #mine = new Set<Member>()
  #opened = 0

  constructor(shared: Shared, manyOwners: boolean) {
    this.#shared = shared
    this.#manyOwners = manyOwners
    this.capabilities = shared.capabilities
  }

  open(): Promise<void> {
    this.#opened = this.#manyOwners ? this.#opened + 1 : 1
    return Promise.resolve()
  }

  async ensure(topology: Topology): Promise<void> {
    this.#checkOpen('ensure')
    for (const topic of topology.topics) this.#shared.log.topic(topic)
    for (const { group, topics } of topology.groups) for (const topic of topics) this.#shared.log.register(group, topic)
  }

  async publish(
    messages: readonly WireMessage[],
    options: { readonly signal: AbortSignal },
  ): Promise<PublishOutcome[]> {
    this.#checkOpen('publish')
    if (options.signal.aborted) {
      throw new TandemError('BROKER_UNAVAILABLE', 'the publication was given up before it began', {
        cause: options.signal.reason,
      })
    }
    const refused = new Set<string>()
    const outcomes = messages.map((message): PublishOutcome => {
      const key = message.key === undefined ? undefined : `${message.topic}\n${message.key}`
      if (key !== undefined && refused.has(key)) return { status: 'retryable', error: heldBack(message) }
      const { maxBodyBytes } = this.capabilities
      if (message.body.byteLength > maxBodyBytes) {
        if (key !== undefined) refused.add(key)
        return { status: 'permanent', error: tooLarge(message, maxBodyBytes) }
      }
      this.#shared.log.append(message, this.#shared.clock.now())
      return { status: 'confirmed' }
    })
    this.#shared.members.wake()
    return outcomes
  }

  async consume(subscription: Subscription, deliver: (delivery: Delivery) => void): Promise<Consumption> {
    this.#checkOpen('consume')
    const { members } = this.#shared
    const member = members.join(subscription, deliver)
    this.#mine.add(member)
    return {
      pause: () => {
        member.paused = true
      },
      resume: () => {
        member.paused = false
        members.wake()
      },
      stop: async () => {
        this.#mine.delete(member)
        members.leave(member)
      },
    }
  }

  async find(id: string): ReturnType<NonNullable<Broker['find']>> {
    this.#checkOpen('find')
    return this.#shared.log.find(id)
  }

  async health(): Promise<{ readonly ok: boolean; readonly detail: string }> {
    if (this.#opened === 0) return { ok: false, detail: 'not open' }
    return { ok: true, detail: `${this.#shared.log.size} messages in memory` }
  }

  async close(): Promise<void> {
    this.#opened = Math.max(0, this.#opened - 1)
    if (this.#opened > 0) return
    for (const member of this.#mine) this.#shared.members.leave(member)
    this.#mine.clear()
  }

  #checkOpen(what: string): void {
    if (this.#opened > 0) return
    throw new TandemError('LIFECYCLE', `memory broker: ${what} before open() or after close()`)
  }
}

function tooLarge(message: WireMessage, maxBodyBytes: number): TandemError {
  return new TandemError(
    'MESSAGE_TOO_LARGE',
    `a message to topic ${message.topic} has a body of ${message.body.byteLength} bytes; the memory broker takes at most ${maxBodyBytes}`,
  )
}

function heldBack(message: WireMessage): TandemError {
  return new TandemError(
    'BROKER_REFUSED',
    `a message to topic ${message.topic} was kept back because an earlier one of its key was refused`,
    { retryable: true },
  )
}
