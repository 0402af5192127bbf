import { PartitionWindow, type WindowEntry } from '../../core/partition-window.ts'
import type { WireMessage } from '../../core/wire.ts'
import type { Delivery } from '../../spi/broker.ts'
import type { StoredMessage } from './log.ts'
import { laneOf, type HeldPartition } from './positions.ts'

/** A member whose `deliver` throws gets the message again after this many milliseconds. */
const AFTER_THROW = 1000
/** Milliseconds that a timer can measure. */
const LONGEST_TIMER = 2_147_483_647

/** A partition of a topic that this member holds. */
export interface Lane {
  readonly held: HeldPartition
  readonly window: PartitionWindow<StoredMessage>
  /** Everything up to this sequence was put into the window. */
  fetched: number
  /** The position as it is in the database. */
  committed: number
  /** Somebody else's turn: nothing more is delivered from it. */
  surplus: boolean
  /** Whether it is being given up: it stays surplus whatever an exchange says meanwhile. */
  leaving: boolean
  /** Highest sequence that was delivered. */
  delivered: number
  /** Whether its first message has ended a member before: until it is passed, it goes alone. */
  doubtful: boolean
  /** Whether it was lost or given up; acks for it do nothing. */
  gone: boolean
}

export interface LaneEvents {
  /** A lane's position has moved, or a surplus lane may be empty. `soon`: not worth waiting for others. */
  readonly moved: (soon: boolean) => void
  /** A lane can take more messages. */
  readonly hungry: () => void
}

/** The partitions that one member holds, and its deliveries. */
export class Lanes {
  readonly all: Map<number, Lane> = new Map()
  paused = false
  /** Until then, by the monotonic clock, the leases are good. */
  validUntil = 0
  readonly #maxInFlight: number
  readonly #toWire: (stored: StoredMessage) => WireMessage
  readonly #deliver: (delivery: Delivery) => void
  readonly #events: LaneEvents
  #order: Lane[] = []
  #turn = 0
  #inFlight = 0
  #scheduled = false
  #alarm: NodeJS.Timeout | undefined

  constructor(
    maxInFlight: number,
    toWire: (stored: StoredMessage) => WireMessage,
    deliver: (delivery: Delivery) => void,
    events: LaneEvents,
  ) {
    this.#maxInFlight = maxInFlight
    this.#toWire = toWire
    this.#deliver = deliver
    this.#events = events
  }

  /** Messages that a lane should have waiting. */
  get quota(): number {
    return Math.max(8, Math.ceil((2 * this.#maxInFlight) / Math.max(1, this.#order.length)))
  }

  isHungry(lane: Lane): boolean {
    // The second: what is acked out of order is redelivered if this member dies, and kept in memory until then.
    return !lane.surplus && lane.window.fresh < this.quota / 2 && lane.window.size < 1000 + 4 * this.#maxInFlight
  }

  /**
   * Takes over what an exchange says.
   *
   * @param known tokens of the lanes that were there when it began: what has been given up since does not come back by it
   */
  update(held: readonly HeldPartition[], known: ReadonlyMap<number, number>): void {
    const names = new Set<number>()
    for (const one of held) {
      const name = laneOf(one.topic, one.partition)
      names.add(name)
      const lane = this.all.get(name)
      if (lane?.held.token === one.token) {
        lane.surplus = one.surplus || lane.leaving
        continue
      }
      if (lane !== undefined) this.drop(lane)
      else if (known.get(name) === one.token) continue
      this.all.set(name, {
        held: one,
        window: new PartitionWindow<StoredMessage>(one.position),
        fetched: one.position,
        committed: one.position,
        surplus: one.surplus,
        leaving: false,
        delivered: 0,
        doubtful: one.redelivered > 0,
        gone: false,
      })
    }
    for (const [name, lane] of this.all) if (!names.has(name)) this.drop(lane)
    this.#order = [...this.all.values()]
  }

  /** Forgets a lane. What is out of it stays out until the member is done with it. */
  drop(lane: Lane): void {
    lane.gone = true
    const name = laneOf(lane.held.topic, lane.held.partition)
    if (this.all.get(name) === lane) this.all.delete(name)
    this.#order = [...this.all.values()]
  }

  /** Delivers, after the caller's stack, what can be delivered. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#dispatch()
    })
  }

  /** Forgets all lanes: acks for what is out do nothing any more. */
  clear(): void {
    for (const lane of this.all.values()) this.drop(lane)
    clearTimeout(this.#alarm)
  }

  /** One message of each lane in turn, until there is no more or the member has enough. */
  #dispatch(): void {
    const now = performance.now()
    let idle = 0
    while (idle < this.#order.length && this.#inFlight < this.#maxInFlight && this.#mayDeliver(now)) {
      this.#turn = (this.#turn + 1) % this.#order.length
      const lane = this.#order[this.#turn]
      if (lane !== undefined && this.#deliverFrom(lane, now)) idle = 0
      else idle += 1
    }
    this.#setAlarm(now)
    if (this.#order.some((lane) => this.isHungry(lane))) this.#events.hungry()
  }

  #mayDeliver(now: number): boolean {
    return !this.paused && now < this.validUntil
  }

  #deliverFrom(lane: Lane, now: number): boolean {
    if (lane.surplus || (lane.doubtful && lane.window.out > 0)) return false
    const entry = lane.window.next(now)
    if (entry === undefined) return false
    lane.delivered = Math.max(lane.delivered, entry.sequence)
    this.#inFlight += 1
    const settle = this.#settle(lane, entry)
    try {
      const { redelivered, suspect } = lane.held
      this.#deliver({
        message: this.#toWire(entry.item),
        attempt: entry.deliveries + (entry.sequence <= suspect ? redelivered : 0),
        ack: () => settle('ack'),
        nack: settle,
      })
    } catch {
      settle(AFTER_THROW)
    }
    return true
  }

  /** The end of one delivery: an ack, or the delay of a nack. Only the first call counts. */
  #settle(lane: Lane, { sequence, deliveries }: WindowEntry<StoredMessage>): (how: 'ack' | number) => void {
    let settled = false
    return (how) => {
      if (settled) return
      settled = true
      this.#inFlight -= 1
      if (!lane.gone) {
        if (how === 'ack') this.#acked(lane, sequence, deliveries)
        else lane.window.giveBack(sequence, deliveries, performance.now() + how)
        if (lane.surplus && lane.window.out === 0) this.#events.moved(true)
      }
      this.schedule()
    }
  }

  #acked(lane: Lane, sequence: number, delivery: number): void {
    const before = lane.window.position
    lane.window.ack(sequence, delivery)
    if (lane.window.position === before) return
    this.#events.moved(lane.doubtful)
    lane.doubtful = false
  }

  /** Delivers again when the first message that was given back may go. */
  #setAlarm(now: number): void {
    clearTimeout(this.#alarm)
    let due = Infinity
    for (const lane of this.#order) due = Math.min(due, lane.window.nextDue(now) ?? Infinity)
    if (due === Infinity) return
    this.#alarm = setTimeout(() => this.schedule(), Math.min(LONGEST_TIMER, Math.ceil(due - now)))
  }
}
