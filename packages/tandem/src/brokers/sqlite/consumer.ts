import { loopBackoff } from '../../core/backoff.ts'
import { systemClock } from '../../core/clock.ts'
import { errorText } from '../../core/errors.ts'
import { uuidv7 } from '../../core/ids.ts'
import type { Consumption, Delivery, Subscription } from '../../spi/broker.ts'
import type { Bell } from './bell.ts'
import { Lanes, type Lane } from './lanes.ts'
import type { SqliteLog, StoredMessage } from './log.ts'
import { laneOf, type MemberInfo, type PositionChange, type Positions } from './positions.ts'
import { Waker } from './waker.ts'

/** Acks of this many milliseconds share one transaction. */
const FLUSH_INTERVAL = 40
/** Sequences that one read of the tail covers. A member that is further behind reads by partition. */
const TAIL_STEP = 2000
/** Bytes of bodies that one read may bring, by the mean of those before. */
const READ_BYTES = 8_388_608

export interface ConsumerSettings {
  readonly lease: number
  readonly pollInterval: number
}

interface Parts<Tx> {
  readonly log: SqliteLog<Tx>
  readonly positions: Positions<Tx>
  readonly bell: Bell
  /** Makes the group and its topics known, and the tables if they are gone. */
  readonly ensure: () => Promise<void>
}

/**
 * One member of a consumer group: a loop that keeps its leases, reads ahead and delivers, and a second one that writes positions. An
 * error in either is retried with backoff; what it means for others is bounded by the leases.
 */
export class SqliteConsumer<Tx> implements Consumption {
  readonly #parts: Parts<Tx>
  readonly #settings: ConsumerSettings
  readonly #member: MemberInfo
  readonly #lanes: Lanes
  readonly #waker = new Waker()
  readonly #stop = new AbortController()
  readonly #unlisten: () => void
  readonly #running: Promise<void>
  #stopping: Promise<void> | undefined
  #lastError: unknown

  #exchangeAt = 0
  #version = -1
  #mustEnsure = false
  #head = 0
  /** Lanes that have everything up to here are read together, from the tail of the log; the others catch up one by one. */
  #scanned: number | undefined
  #meanBytes = 65_536

  #flushTimer: NodeJS.Timeout | undefined
  #flushing: Promise<void> | undefined
  #flushAgain = false

  constructor(
    parts: Parts<Tx>,
    settings: ConsumerSettings,
    subscription: Subscription,
    deliver: (delivery: Delivery) => void,
  ) {
    this.#parts = parts
    this.#settings = settings
    const topics = [...new Set(subscription.topics)].map((name) => parts.log.topicId(name))
    this.#member = { id: uuidv7(), group: subscription.group, topics, maxInFlight: subscription.maxInFlight }
    const toWire = (stored: StoredMessage) => parts.log.toWire(stored)
    this.#lanes = new Lanes(subscription.maxInFlight, toWire, deliver, {
      moved: (soon) => this.#flushWithin(soon ? 0 : FLUSH_INTERVAL),
      hungry: () => {
        if ([...this.#lanes.all.values()].some((lane) => this.#hasMore(lane))) this.#waker.ring()
      },
    })
    this.#unlisten = parts.bell.listen(() => this.#waker.ring())
    this.#running = this.#run()
  }

  /** What the last round of the loop failed with; undefined if it went well. */
  get lastError(): unknown {
    return this.#lastError
  }

  pause(): void {
    this.#lanes.paused = true
    this.#flushWithin(0)
  }

  resume(): void {
    this.#lanes.paused = false
    this.#lanes.schedule()
    this.#waker.ring()
  }

  stop(deadline: number): Promise<void> {
    this.#stopping ??= this.#end(deadline)
    return this.#stopping
  }

  async #end(deadline: number): Promise<void> {
    this.#lanes.paused = true
    this.#stop.abort()
    this.#waker.ring()
    this.#unlisten()
    clearTimeout(this.#flushTimer)
    // Whoever does not get the lock in time leaves its leases to run out.
    const leave = this.#running
      .then(() => this.#flushing)
      .then(() => this.#leave(deadline))
      .catch((error: unknown) => {
        this.#lastError = error
      })
    const late = new AbortController()
    await Promise.race([leave, systemClock.sleep(deadline, late.signal)])
    late.abort()
    this.#lanes.clear()
  }

  async #leave(deadline: number): Promise<void> {
    const changes = [...this.#lanes.all.values()].map((lane) => change(lane, true))
    await this.#parts.positions.commit(this.#member, changes, { leave: true, lockTimeout: deadline })
    this.#parts.bell.ring()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    let rung = true
    while (!signal.aborted) {
      try {
        await this.#round(rung)
        failures = 0
        this.#lastError = undefined
      } catch (error) {
        failures += 1
        this.#lastError = error
        if (errorText(error).includes('no such table')) this.#startOver()
        await systemClock.sleep(loopBackoff(failures, Math.random), signal)
        continue
      }
      if (signal.aborted) return
      rung = await this.#waker.sleep(this.#untilNext())
    }
  }

  /** Milliseconds until the next round if nobody rings. */
  #untilNext(): number {
    const { pollInterval } = this.#settings
    const poll = this.#parts.bell.isReliable ? pollInterval * 10 : pollInterval
    return Math.max(0, Math.min(poll, this.#exchangeAt - performance.now()))
  }

  async #round(rung: boolean): Promise<void> {
    const { positions, bell, ensure } = this.#parts
    const seen = await positions.look(this.#member.group)
    if (seen.head < this.#head) this.#startOver()
    if (this.#mustEnsure) await ensure()
    this.#mustEnsure = false
    if (!rung && seen.head > this.#head) bell.missed()
    this.#head = Math.max(this.#head, seen.head)
    if (seen.version !== this.#version || performance.now() >= this.#exchangeAt) await this.#exchange()
    if (!this.#lanes.paused) await this.#read()
  }

  /** The file has been replaced by an older or an empty one: what is known of it is wrong. */
  #startOver(): void {
    this.#lanes.clear()
    this.#head = 0
    this.#scanned = undefined
    this.#version = -1
    this.#mustEnsure = true
  }

  async #exchange(): Promise<void> {
    const { positions, bell } = this.#parts
    const { lease } = this.#settings
    const started = performance.now()
    const tokens = new Map([...this.#lanes.all].map(([name, lane]) => [name, lane.held.token]))
    const result = await positions.exchange(this.#member, tokens, lease)
    this.#version = result.version
    this.#head = Math.max(this.#head, result.head)
    this.#exchangeAt = performance.now() + Math.min(lease / 3, (result.nextExpiry ?? Infinity) + 2)
    this.#lanes.validUntil = started + lease
    this.#lanes.update(result.held, tokens)
    if (result.changed) bell.ring()
    this.#lanes.schedule()
    if (result.held.some(({ surplus }) => surplus)) this.#flushWithin(0)
  }

  /** Fills the windows: lanes that are behind from their partition, the others from the tail of the log. */
  async #read(): Promise<void> {
    const { log } = this.#parts
    let scanned = this.#scanned ?? this.#head
    if (this.#head - scanned > 10 * TAIL_STEP) scanned = this.#head
    this.#scanned = scanned
    for (const lane of this.#lanes.all.values()) {
      if (lane.fetched >= scanned || !this.#lanes.isHungry(lane)) continue
      const limit = this.#limit(this.#lanes.quota)
      const { topic, partition } = lane.held
      const rows = await log.readPartition(topic, partition, lane.fetched, scanned, limit)
      this.#fill(lane, rows, rows.length < limit ? scanned : undefined)
      this.#lanes.schedule()
    }
    while (scanned < this.#head && !this.#stop.signal.aborted) {
      const live = [...this.#lanes.all].filter(([, lane]) => lane.fetched >= scanned && this.#lanes.isHungry(lane))
      const upTo = live.length === 0 ? this.#head : Math.min(this.#head, scanned + TAIL_STEP)
      if (live.length > 0) {
        const limit = this.#limit(this.#lanes.quota * live.length)
        const rows = await log.readTail(scanned, upTo, JSON.stringify(live.map(([name]) => name)), limit)
        const reached = rows.length < limit ? upTo : (rows.at(-1)?.sequence ?? upTo)
        const byLane = Map.groupBy(rows, ({ topic, partition }) => laneOf(topic, partition))
        for (const [name, lane] of live) this.#fill(lane, byLane.get(name) ?? [], reached)
        scanned = reached
        this.#lanes.schedule()
      } else {
        scanned = upTo
      }
      this.#scanned = scanned
    }
  }

  #limit(messages: number): number {
    return Math.max(1, Math.min(messages, Math.floor(READ_BYTES / this.#meanBytes)))
  }

  /** @param upTo everything up to here has been read; undefined: up to the last of the rows */
  #fill(lane: Lane, rows: readonly StoredMessage[], upTo: number | undefined): void {
    for (const row of rows) {
      lane.window.add(row.sequence, row.key, row)
      this.#meanBytes += (row.body.byteLength + row.headers.length - this.#meanBytes) / 16
    }
    lane.fetched = upTo ?? rows.at(-1)?.sequence ?? lane.fetched
  }

  #hasMore(lane: Lane): boolean {
    return lane.fetched < this.#head && this.#lanes.isHungry(lane)
  }

  #flushWithin(ms: number): void {
    if (this.#stop.signal.aborted) return
    if (ms > 0 && (this.#flushTimer !== undefined || this.#flushing !== undefined)) {
      this.#flushAgain = true
      return
    }
    clearTimeout(this.#flushTimer)
    this.#flushTimer = setTimeout(() => this.#startFlush(), ms)
  }

  #startFlush(): void {
    this.#flushTimer = undefined
    if (this.#flushing !== undefined) {
      this.#flushAgain = true
      return
    }
    this.#flushAgain = false
    this.#flushing = this.#flush().then(
      () => this.#flushed(FLUSH_INTERVAL),
      (error: unknown) => {
        this.#lastError = error
        this.#flushAgain = true
        this.#flushed(500)
      },
    )
  }

  #flushed(next: number): void {
    this.#flushing = undefined
    if (this.#flushAgain) this.#flushWithin(next)
  }

  /** Writes the positions that have moved, and gives up surplus lanes that have nothing out. */
  async #flush(): Promise<void> {
    const done = (lane: Lane): boolean => lane.surplus && lane.window.out === 0
    const lanes = [...this.#lanes.all.values()].filter((lane) => lane.window.position > lane.committed || done(lane))
    if (lanes.length === 0) return
    for (const lane of lanes) lane.leaving = done(lane)
    const changes = lanes.map((lane) => change(lane, lane.leaving))
    const options = { leave: false, lockTimeout: this.#settings.lease / 3 }
    const lost = await this.#parts.positions.commit(this.#member, changes, options).finally(() => {
      for (const lane of lanes) lane.leaving = false
    })
    for (const [index, lane] of lanes.entries()) {
      const { giveUp, position } = changes[index] as PositionChange
      lane.committed = position
      if (giveUp !== undefined || lost.includes(laneOf(lane.held.topic, lane.held.partition))) this.#lanes.drop(lane)
    }
    if (changes.some(({ giveUp }) => giveUp !== undefined)) this.#parts.bell.ring()
  }
}

function change(lane: Lane, giveUp: boolean): PositionChange {
  const { topic, partition, token } = lane.held
  const { position, out } = lane.window
  const base = { topic, partition, token, position }
  return giveUp ? { ...base, giveUp: { delivered: out > 0 ? lane.delivered : 0 } } : base
}
