import { loopBackoff } from '../core/backoff.ts'
import { crashPoint } from '../core/crash-points.ts'
import { errorText } from '../core/errors.ts'
import type { PublishOutcome } from '../spi/broker.ts'
import type { Hold, OutboxMessage, ShardFence } from '../spi/store.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import { Loop } from './loop.ts'
import type { Runtime } from './runtime.ts'

export interface RelaySettings {
  /** Messages that are read, published and removed together. Default 500. */
  readonly batchSize: number
  /** Milliseconds between looks at the outbox when nothing hints at work; up to three times as long after a while. Default 100. */
  readonly pollInterval: number
  /** Milliseconds for which a message is published again before it becomes `unsendable`. Default 3,600,000 (an hour). */
  readonly giveUpAfter: number
}

/** How long after a hint the relay keeps looking closely. A local transaction may commit long after it sent. */
const HINT_LASTS = 2000
/** An idle service polls up to this many times more slowly. */
const SLOWEST = 3
/**
 * After a round that was not full the relay rests this many times as long as it took, and no longer than so many milliseconds: a round
 * costs the same commits for one message as for many, and they are on the disk that the senders wait for.
 */
const REST = 3
const LONGEST_REST = 5
/** Milliseconds that `stop` may spend on publishing. */
const FAREWELL = 1000

/**
 * Publishes what is in the outbox. It leases shards, reads the oldest messages of its shards without changing them, publishes, and
 * deletes what the broker has confirmed. A message that the broker refuses is set aside and holds back only its own key; a broker that
 * does not answer stops the relay, which tries again until it does.
 */
export class Relay {
  readonly #runtime: Runtime<unknown>
  readonly #leases: LeaseKeeper
  readonly #settings: RelaySettings
  readonly #names: readonly string[]
  readonly #loop: Loop
  /** When somebody last said that there is work, or there was some. */
  #hintedAt = Number.NEGATIVE_INFINITY
  readonly #madeAt: number
  #restsUntil = 0
  #promoteAt = 0

  constructor(runtime: Runtime<unknown>, leases: LeaseKeeper, settings: RelaySettings) {
    this.#runtime = runtime
    this.#leases = leases
    this.#settings = settings
    this.#madeAt = runtime.clock.monotonic()
    this.#names = Array.from({ length: runtime.store.capabilities.shards }, (_, shard) => `relay/${shard}`)
    this.#loop = new Loop('relay', runtime, (signal) => this.tick(signal))
  }

  start(): void {
    this.#leases.want(this.#names)
    this.#loop.start()
  }

  /** Something was, or is about to be, committed: look now and, for a while, every few milliseconds. */
  hint(): void {
    this.#hintedAt = this.#runtime.clock.monotonic()
    if (this.#hintedAt >= this.#restsUntil) this.#loop.wake()
  }

  /** The leases changed: look now. */
  wake(): void {
    this.#loop.wake()
  }

  /**
   * Publishes what was sent a moment ago, if that is quickly done, so that a program that sends and ends does not leave it to the next
   * one. The rest is safe in the outbox.
   */
  async stop(): Promise<void> {
    await this.#loop.stop()
    if (this.#runtime.clock.monotonic() - this.#hintedAt > HINT_LASTS) return
    const over = AbortSignal.timeout(FAREWELL)
    try {
      let wait = 0
      while (wait === 0 && !over.aborted) wait = await this.tick(over)
    } catch {
      // The broker or the database does not answer: the next start goes on.
    }
  }

  /** One round. Resolves to the milliseconds until the next. */
  async tick(signal: AbortSignal): Promise<number> {
    const fences = this.#fences()
    if (fences.length === 0) return this.#settings.pollInterval
    const { store, clock } = this.#runtime
    const { batchSize } = this.#settings

    if (clock.monotonic() >= this.#promoteAt) {
      const { promoted, nextIn } = await store.outbox.promote(fences, batchSize)
      // At least every second, since another process may have added a delayed message or a person may have decided.
      this.#promoteAt = promoted > 0 ? 0 : clock.monotonic() + Math.min(1000, nextIn ?? 1000)
    }
    const began = clock.monotonic()
    const messages = await store.outbox.read(fences, batchSize)
    if (messages.length === 0) return this.#untilNextLook()
    crashPoint('relay.read')
    // Hints during the round and the rest are no reason to hurry.
    this.#restsUntil = Number.POSITIVE_INFINITY
    try {
      await this.#publishAll(fences, messages, signal)
    } finally {
      this.#restsUntil = 0
    }
    const now = clock.monotonic()
    this.#hintedAt = now
    if (messages.length >= batchSize) return 0
    const rest = Math.min(LONGEST_REST, REST * (now - began))
    this.#restsUntil = now + rest
    return Math.max(rest, this.#untilNextLook())
  }

  #fences(): ShardFence[] {
    return this.#names.flatMap((name, shard) => {
      const fence = this.#leases.get(name)
      return fence === undefined ? [] : [{ ...fence, shard }]
    })
  }

  /**
   * 1, 2, … 16 ms after a hint, in proportion to its age, then the poll interval, which grows when nothing comes for long; never past the
   * next promotion.
   */
  #untilNextLook(): number {
    const now = this.#runtime.clock.monotonic()
    const age = now - this.#hintedAt
    const idle = now - Math.max(this.#hintedAt, this.#madeAt)
    const slower = clamp(idle / HINT_LASTS, 1, SLOWEST)
    const look = age > HINT_LASTS ? this.#settings.pollInterval * slower : clamp(Math.round(age / 8), 1, 16)
    return Math.min(look, Math.max(1, this.#promoteAt - now))
  }

  async #publishAll(
    fences: readonly ShardFence[],
    messages: readonly OutboxMessage[],
    signal: AbortSignal,
  ): Promise<void> {
    const { store, events } = this.#runtime
    const held = new Set<string>()
    const holds: Hold[] = []
    const published: OutboxMessage[] = []
    const refused: (readonly [OutboxMessage, Hold])[] = []
    const waitBehind = (message: OutboxMessage): void => {
      holds.push({ position: message.position, state: 'behind', delay: 0, error: undefined })
    }

    let failure: { readonly error: unknown } | undefined
    for (const wave of this.#waves(messages)) {
      const ready: OutboxMessage[] = []
      for (const message of wave) {
        if (message.behindHeld || held.has(keyOf(message))) waitBehind(message)
        else ready.push(message)
      }
      if (ready.length === 0) continue
      let outcomes: readonly PublishOutcome[]
      try {
        outcomes = await this.#runtime.broker.publish(ready, { signal })
      } catch (error) {
        // Nothing is known about this wave. It stays in the outbox, as do the waves after it.
        failure = { error }
        break
      }
      for (const [i, message] of ready.entries()) {
        const outcome = outcomes[i] ?? {
          status: 'unknown' as const,
          error: new Error('the broker adapter gave no outcome'),
        }
        if (outcome.status === 'confirmed') {
          published.push(message)
          continue
        }
        if (held.has(keyOf(message))) {
          waitBehind(message)
          continue
        }
        const hold = this.#holdFor(message, outcome)
        holds.push(hold)
        refused.push([message, hold])
        if (message.key !== undefined) held.add(keyOf(message))
      }
    }
    if (published.length > 0) {
      crashPoint('relay.published')
      await store.outbox.remove(fences, published)
      crashPoint('relay.removed')
      if (events.has('message.published')) {
        for (const { id, type, topic } of published) events.emit('message.published', () => ({ id, type, topic }))
      }
    }
    if (holds.length > 0) {
      await store.outbox.hold(fences, holds)
      crashPoint('relay.held')
      this.#promoteAt = 0
      // Not before it is so: a relay that has lost its lease must not call for a person.
      for (const [message, hold] of refused) this.#tellHeld(message, hold)
    }
    if (failure !== undefined) throw failure.error
  }

  /** Splits a batch so that no wave has two messages of one key, unless the broker itself keeps a key back after a failure. */
  #waves(messages: readonly OutboxMessage[]): readonly (readonly OutboxMessage[])[] {
    if (this.#runtime.broker.capabilities.stopsKeyOnFailure) return [messages]
    const waves: OutboxMessage[][] = []
    const waveOfKey = new Map<string, number>()
    for (const message of messages) {
      const wave = message.key === undefined ? 0 : (waveOfKey.get(keyOf(message)) ?? 0)
      if (message.key !== undefined) waveOfKey.set(keyOf(message), wave + 1)
      const place = (waves[wave] ??= [])
      place.push(message)
    }
    return waves
  }

  #holdFor(message: OutboxMessage, outcome: Exclude<PublishOutcome, { status: 'confirmed' }>): Hold {
    const { position } = message
    const error = errorText(outcome.error)
    if (outcome.status === 'permanent' || message.failingFor > this.#settings.giveUpAfter) {
      return { position, state: 'unsendable', delay: 0, error }
    }
    return { position, state: 'waiting', delay: loopBackoff(message.attempts + 1, this.#runtime.random), error }
  }

  #tellHeld({ id, type, topic }: OutboxMessage, { state, delay, error = '' }: Hold): void {
    const { events } = this.#runtime
    if (state === 'unsendable') events.emit('message.unsendable', () => ({ id, type, topic, error }))
    else events.emit('message.held', () => ({ id, type, topic, error, delay }))
  }
}

function keyOf(message: OutboxMessage): string {
  return message.key === undefined ? `\n${message.id}` : `${message.topic}\n${message.key}`
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value))
}
