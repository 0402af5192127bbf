import type { Clock } from '../../core/clock.ts'
import type { WindowEntry } from '../../core/partition-window.ts'
import type { Delivery, Subscription } from '../../spi/broker.ts'
import type { GroupPartition, LoggedMessage, MemoryLog } from './log.ts'

/** A member whose `deliver` throws gets the message again after this many milliseconds. */
const AFTER_THROW = 1000
/** Milliseconds that a timer can measure. */
const LONGEST_TIMER = 2_147_483_647

/** One consumption. */
export interface Member {
  readonly subscription: Subscription
  readonly deliver: (delivery: Delivery) => void
  inFlight: number
  paused: boolean
  stopped: boolean
}

/** Who has a partition of a group, and who should. */
interface Assigned {
  readonly part: GroupPartition
  owner: Member | undefined
  wanted: Member | undefined
}

/** Who gets which message: the partitions are shared out among the members of each group in the order in which they joined. */
export class Members {
  readonly #log: MemoryLog
  readonly #clock: Clock
  readonly #members: Member[] = []
  readonly #assigned = new Map<GroupPartition, Assigned>()
  #turn = 0
  #scheduled = false
  #alarm: { readonly due: number; readonly stop: AbortController } | undefined

  constructor(log: MemoryLog, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  join(subscription: Subscription, deliver: (delivery: Delivery) => void): Member {
    const member: Member = { subscription, deliver, inFlight: 0, paused: false, stopped: false }
    for (const topic of subscription.topics) {
      for (const part of this.#log.register(subscription.group, topic)) {
        if (!this.#assigned.has(part)) this.#assigned.set(part, { part, owner: undefined, wanted: undefined })
      }
    }
    this.#members.push(member)
    // One turn more than usual, so that the caller has its consumption before the first delivery.
    queueMicrotask(() => this.wake())
    return member
  }

  /** What the member had out goes to the others, and its acks do nothing any more. */
  leave(member: Member): void {
    if (member.stopped) return
    member.stopped = true
    this.#members.splice(this.#members.indexOf(member), 1)
    for (const one of this.#assigned.values()) {
      if (one.owner !== member) continue
      one.part.window.giveBackAll()
      one.owner = undefined
    }
    this.wake()
  }

  /** Delivers what can be delivered, in a microtask after the caller's stack. */
  wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      const assigned = [...this.#assigned.values()]
      this.#assign(assigned)
      this.#deliverAll(assigned)
      this.#setAlarm(assigned)
    })
  }

  #assign(assigned: readonly Assigned[]): void {
    for (const one of assigned) {
      const { group, topic, partition, window } = one.part
      const wanting = this.#members.filter(
        ({ subscription }) => subscription.group === group && subscription.topics.includes(topic),
      )
      one.wanted = wanting[partition % Math.max(1, wanting.length)]
      // Not while something is out, so that a key is never in two hands.
      if (window.out === 0) one.owner = one.wanted
    }
  }

  /** One message of each partition in turn, until nobody can take any more. */
  #deliverAll(assigned: readonly Assigned[]): void {
    let idle = 0
    while (idle < assigned.length) {
      const one = assigned[this.#turn % assigned.length]
      this.#turn = (this.#turn + 1) % assigned.length
      if (one !== undefined && this.#deliverOne(one)) idle = 0
      else idle += 1
    }
  }

  #deliverOne({ part, owner, wanted }: Assigned): boolean {
    if (owner === undefined || owner !== wanted || owner.paused || owner.stopped) return false
    if (owner.inFlight >= owner.subscription.maxInFlight) return false
    const entry = part.window.next(this.#clock.monotonic())
    if (entry === undefined) return false
    owner.inFlight += 1
    const delivery = this.#delivery(owner, part, entry)
    try {
      owner.deliver(delivery)
    } catch {
      delivery.nack(AFTER_THROW)
    }
    return true
  }

  #delivery(
    member: Member,
    part: GroupPartition,
    { sequence, deliveries, item }: WindowEntry<LoggedMessage>,
  ): Delivery {
    const settle = (change: () => boolean): void => {
      if (member.stopped || !change()) return
      member.inFlight -= 1
      this.wake()
    }
    return {
      message: item.message,
      attempt: deliveries,
      ack: () =>
        settle(() => {
          const acked = part.window.ack(sequence, deliveries)
          if (acked) this.#log.trim(part.topic, part.partition)
          return acked
        }),
      nack: (delay) => settle(() => part.window.giveBack(sequence, deliveries, this.#clock.monotonic() + delay)),
    }
  }

  /** Wakes up when the first message that was given back may go again. */
  #setAlarm(assigned: readonly Assigned[]): void {
    const now = this.#clock.monotonic()
    let due: number | undefined
    for (const { part, owner } of assigned) {
      if (owner === undefined) continue
      const next = part.window.nextDue(now)
      if (next !== undefined && (due === undefined || next < due)) due = next
    }
    if (due === this.#alarm?.due) return
    this.#alarm?.stop.abort()
    this.#alarm = undefined
    if (due === undefined) return
    const alarm = { due, stop: new AbortController() }
    this.#alarm = alarm
    void this.#clock.sleep(Math.min(LONGEST_TIMER, due - now), alarm.stop.signal).then(() => {
      if (this.#alarm !== alarm) return
      this.#alarm = undefined
      this.wake()
    })
  }
}
