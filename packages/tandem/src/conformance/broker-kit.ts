import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { uuidv7 } from '../core/ids.ts'
import { toHeaders, type WireMessage } from '../core/wire.ts'
import type { Broker, BrokerCapabilities, Consumption, Delivery, PublishOutcome } from '../spi/broker.ts'
import type { ConformanceCase } from './case.ts'

/** One broker (a server, a file, an object) that several processes could use. */
export interface BrokerFixture {
  /** A handle as one process has it, with connections of its own. Not open yet. */
  connect(): Broker
  /** Ends a handle as the death of its process does: it gives nothing back, and says nothing any more. */
  kill?(broker: Broker): Promise<void>
  /** Removes what the fixture made. The handles are closed by then. */
  dispose(): Promise<void>
}

export interface BrokerConformanceOptions {
  /** Names the broker in the areas of the cases. */
  readonly name: string
  /** What the broker must say, and do, of itself. */
  readonly capabilities: BrokerCapabilities
  /** Whether `make` gives `kill`; without, the cases about dead members are left out. */
  readonly kills: boolean
  /** Whether the broker can look into its topics. */
  readonly finds: boolean
  /** Whether a body may be empty. Default true. */
  readonly emptyBodies?: boolean
  /** Milliseconds that anything may take to happen, leases and rebalances included. Default 30,000. */
  readonly timeout?: number
  make(): Promise<BrokerFixture>
}

const PATIENCE = 30_000

/** Deadline, in milliseconds, of stops and closes that nothing is in the way of. */
export const DEADLINE = 5000

/** What a case works with. */
interface BrokerBench {
  readonly capabilities: BrokerCapabilities
  /** A topic and a group that no other case uses. */
  readonly topic: string
  readonly group: string
  /** An open handle for publishing. */
  readonly broker: Broker
  /** Another open handle. */
  connect(): Promise<Broker>
  kill(broker: Broker): Promise<void>
  name(kind: string): string
  /** Publishes all of them in order, and expects every one to be confirmed. */
  publish(messages: readonly WireMessage[]): Promise<void>
  /** Begins to consume; by default the topic and group of the case, on a handle of its own, for any number of messages. */
  consume(options?: ConsumeOptions): Promise<Member>
  /** Makes topic and group known, so that what is published from now on waits for the group. */
  ensure(...groups: string[]): Promise<void>
}

interface ConsumeOptions {
  readonly broker?: Broker
  readonly group?: string
  readonly topics?: readonly string[]
  readonly maxInFlight?: number
  /** What happens to each delivery; nothing by default. */
  readonly each?: (delivery: Delivery) => void
}

/** A consumption that remembers what came. */
interface Member {
  readonly broker: Broker
  readonly consumption: Consumption
  readonly deliveries: Delivery[]
  /** Resolves when this many messages have come in all. */
  count(deliveries: number): Promise<readonly Delivery[]>
  /** Resolves when a delivery fulfils the condition. */
  find(condition: (delivery: Delivery) => boolean): Promise<Delivery>
  /** Resolves when the condition is true; it is asked after each delivery. */
  until(condition: () => boolean): Promise<void>
}

export type BrokerCase = (name: string, body: (bench: BrokerBench) => Promise<void>) => ConformanceCase

/** Makes cases of one area, each with a broker of its own. */
export function brokerCases(options: BrokerConformanceOptions, part: string): BrokerCase {
  const area = `${options.name}: ${part}`
  // What waits for one thing says better what is missing, and comes first.
  const limit = 2 * (options.timeout ?? PATIENCE)
  return (name, body) => ({ area, name, run: () => within(limit, runOnBench(options, body), name) })
}

async function within(ms: number, run: Promise<void>, name: string): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`nothing came of it within ${ms} ms: ${name}`)), ms)
  try {
    await Promise.race([run, late])
  } finally {
    clearTimeout(timer)
  }
}

async function runOnBench(
  options: BrokerConformanceOptions,
  body: (bench: BrokerBench) => Promise<void>,
): Promise<void> {
  const fixture = await options.make()
  assert.equal(fixture.kill !== undefined, options.kills, 'make() gives kill() exactly when `kills` says so')
  const handles: Broker[] = []
  const connect = async (): Promise<Broker> => {
    const broker = fixture.connect()
    handles.push(broker)
    await broker.open({ service: 'conformance' })
    return broker
  }
  try {
    await body(await setBench(options, fixture, connect))
  } finally {
    await Promise.all(handles.map((broker) => broker.close(DEADLINE)))
    await fixture.dispose()
  }
}

async function setBench(
  options: BrokerConformanceOptions,
  fixture: BrokerFixture,
  connect: () => Promise<Broker>,
): Promise<BrokerBench> {
  const suffix = randomBytes(6).toString('hex')
  const name = (kind: string): string => `conformance-${kind}-${suffix}`
  const topic = name('topic')
  const group = name('group')
  const broker = await connect()
  assert.deepEqual(broker.capabilities, options.capabilities, 'the broker says what the options say')
  return {
    capabilities: options.capabilities,
    topic,
    group,
    broker,
    connect,
    name,
    kill: async (dead) => {
      assert.ok(fixture.kill)
      await fixture.kill(dead)
    },
    ensure: (...groups) =>
      broker.ensure({ topics: [topic], groups: groups.map((one) => ({ group: one, topics: [topic] })) }),
    publish: async (messages) => {
      // As the relay does: one call never has two messages of a key, unless the broker can stop the second.
      const calls = options.capabilities.stopsKeyOnFailure ? [messages] : messages.map((message) => [message])
      for (const call of calls) {
        for (const outcome of await publishTo(broker, call)) if (outcome.status !== 'confirmed') throw outcome.error
      }
    },
    consume: async (asked = {}) => {
      const { maxInFlight = 10_000, each } = asked
      const of = asked.broker ?? (await connect())
      const subscription = { group: asked.group ?? group, topics: asked.topics ?? [topic], maxInFlight }
      return begin(of, subscription, each, options.timeout ?? PATIENCE)
    },
  }
}

async function begin(
  broker: Broker,
  subscription: Parameters<Broker['consume']>[0],
  each: ((delivery: Delivery) => void) | undefined,
  timeout: number,
): Promise<Member> {
  const deliveries: Delivery[] = []
  const looks = new Set<() => void>()
  const consumption = await broker.consume(subscription, (delivery) => {
    deliveries.push(delivery)
    each?.(delivery)
    for (const look of looks) look()
  })
  /** Resolves with the first defined value of `look`, which is asked after each delivery. */
  const until = async <T>(look: () => T | undefined, what: string): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const check = (): void => {
      const value = look()
      if (value !== undefined) resolve(value)
    }
    const timer = setTimeout(() => {
      const came = deliveries.map(({ message }) => textOf(message))
      reject(new Error(`${what} did not happen within ${timeout} ms; what came: ${JSON.stringify(came.slice(-20))}`))
    }, timeout)
    looks.add(check)
    check()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      looks.delete(check)
    }
  }
  return {
    broker,
    consumption,
    deliveries,
    count: (n) => until(() => (deliveries.length >= n ? deliveries : undefined), `delivery number ${n}`),
    until: async (condition) => void (await until(() => condition() || undefined, 'what was waited for')),
    find: (condition) => until(() => deliveries.find(condition), 'the delivery that was waited for'),
  }
}

export function publishTo(broker: Broker, messages: readonly WireMessage[]): Promise<readonly PublishOutcome[]> {
  return broker.publish(messages, { signal: new AbortController().signal })
}

/** A message with this text as its body. */
export function textMessage(
  topic: string,
  key: string | undefined,
  text: string,
  plainHeaders: Readonly<Record<string, string>> = {},
): WireMessage {
  const id = uuidv7()
  const headers = toHeaders({
    id,
    type: 'conformance.message',
    source: 'conformance',
    time: new Date(),
    key,
    contentType: 'text/plain',
    causationId: undefined,
    correlationId: id,
    sensitive: [],
    plainHeaders,
  })
  return { topic, key, headers, body: new TextEncoder().encode(text) }
}

/** `<key>-<from>`, … : the texts of a series. */
export function numbered(key: string, count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, index) => `${key}-${from + index}`)
}

/** Messages of one key with the texts `<key>-1`, `<key>-2`, … */
export function series(topic: string, key: string, count: number, from = 1): WireMessage[] {
  return numbered(key, count, from).map((text) => textMessage(topic, key, text))
}

export function textOf(message: WireMessage): string {
  return message.body.byteLength > 1000 ? `(${message.body.byteLength} bytes)` : new TextDecoder().decode(message.body)
}

/** Texts of all deliveries, or of those of one key, in the order in which they came. */
export function texts(deliveries: readonly Delivery[], key?: string): string[] {
  return deliveries
    .filter(({ message }) => key === undefined || message.key === key)
    .map(({ message }) => textOf(message))
}

export const ackEach = (delivery: Delivery): void => delivery.ack()
