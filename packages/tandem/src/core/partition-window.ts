/**
 * What one member of a group has taken from one partition of a log and not yet passed, pure. Brokers whose server keeps one position
 * per partition (a log) get acks of single messages, redelivery and key order from it.
 *
 * Messages go out in the order of their sequence. One that is given back holds up the later ones of its key and no others.
 */
export interface WindowEntry<T> {
  /** Ascends within the partition; gaps are fine. */
  readonly sequence: number
  readonly key: string | undefined
  readonly item: T
  /** How often it went out of this window. */
  readonly deliveries: number
}

/** No more than this many messages are set aside; further ones wait in the line, whatever their key. */
const ASIDE = 1000

interface Entry<T> extends WindowEntry<T> {
  deliveries: number
  state: 'waiting' | 'out' | 'done'
  /** Not before this instant, by the caller's clock. */
  due: number
}

export class PartitionWindow<T> {
  /** From the first one that is not done (at `#head`), in order of sequence. */
  #entries: Entry<T>[] = []
  #head = 0
  /** Index of the next entry that never went out and was not set aside. */
  #cursor = 0
  /** Given back, or set aside behind one of its key that was; in order of sequence. */
  readonly #aside: Entry<T>[] = []
  #position: number
  #out = 0

  /** @param position everything up to this sequence is passed */
  constructor(position: number) {
    this.#position = position
  }

  /** Everything up to this sequence is passed. */
  get position(): number {
    return this.#position
  }

  /** Messages that are out and neither acked nor given back. */
  get out(): number {
    return this.#out
  }

  /** Messages after the position that the window holds, acked ones included. */
  get size(): number {
    return this.#entries.length - this.#head
  }

  /** Messages that never went out. */
  get fresh(): number {
    return this.#entries.length - this.#cursor
  }

  /** Adds the next message; its sequence must be above that of all before it. */
  add(sequence: number, key: string | undefined, item: T): void {
    this.#entries.push({ sequence, key, item, deliveries: 0, state: 'waiting', due: 0 })
  }

  /** Takes out the next message that may go at `now`, if there is one. Given-back ones come first. */
  next(now: number): WindowEntry<T> | undefined {
    const entry = this.#fromAside(now) ?? this.#fromLine()
    if (entry === undefined) return undefined
    entry.state = 'out'
    entry.deliveries += 1
    this.#out += 1
    return entry
  }

  /** @returns false when this delivery of the message had ended before, so that nothing has changed */
  ack(sequence: number, delivery: number): boolean {
    const entry = this.#outEntry(sequence, delivery)
    if (entry === undefined) return false
    entry.state = 'done'
    this.#out -= 1
    this.#advance()
    return true
  }

  /** Gives a message back until `due`. @returns false as `ack` does */
  giveBack(sequence: number, delivery: number, due: number): boolean {
    const entry = this.#outEntry(sequence, delivery)
    if (entry === undefined) return false
    entry.state = 'waiting'
    entry.due = due
    this.#out -= 1
    this.#setAside(entry)
    return true
  }

  /** Gives everything that is out back at once. */
  giveBackAll(): void {
    for (let i = this.#head; i < this.#cursor; i++) {
      const entry = this.#entries[i]
      if (entry?.state === 'out') this.giveBack(entry.sequence, entry.deliveries, 0)
    }
  }

  /** The instant from which `next` may have something that it has not at `now`; undefined if no such instant is known. */
  nextDue(now: number): number | undefined {
    let earliest: number | undefined
    for (const { due } of this.#aside) {
      if (due > now && (earliest === undefined || due < earliest)) earliest = due
    }
    return earliest
  }

  #fromAside(now: number): Entry<T> | undefined {
    if (this.#aside.length === 0) return undefined
    const held = new Set<string>()
    for (const [index, entry] of this.#aside.entries()) {
      const free = entry.key === undefined || !held.has(entry.key)
      if (free && entry.due <= now) {
        this.#aside.splice(index, 1)
        return entry
      }
      if (entry.key !== undefined) held.add(entry.key)
    }
    return undefined
  }

  #fromLine(): Entry<T> | undefined {
    for (;;) {
      const entry = this.#entries[this.#cursor]
      if (entry === undefined || this.#aside.length >= ASIDE) return undefined
      this.#cursor += 1
      const { key } = entry
      if (key === undefined || !this.#aside.some((before) => before.key === key)) return entry
      this.#aside.push(entry)
    }
  }

  #setAside(entry: Entry<T>): void {
    const index = this.#aside.findIndex(({ sequence }) => sequence > entry.sequence)
    if (index < 0) this.#aside.push(entry)
    else this.#aside.splice(index, 0, entry)
  }

  #outEntry(sequence: number, delivery: number): Entry<T> | undefined {
    let low = this.#head
    let high = this.#cursor - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const entry = this.#entries[middle]
      if (entry === undefined) return undefined
      if (entry.sequence === sequence) {
        return entry.state === 'out' && entry.deliveries === delivery ? entry : undefined
      }
      if (entry.sequence < sequence) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  #advance(): void {
    for (;;) {
      const entry = this.#entries[this.#head]
      if (entry?.state !== 'done') break
      this.#position = entry.sequence
      this.#head += 1
    }
    if (this.#head < 256 || this.#head * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#head)
    this.#cursor -= this.#head
    this.#head = 0
  }
}
