/**
 * Items that wait to be handled, in order of arrival. Items of one lane are never handled at the same time by two workers and never
 * overtake each other; items without a lane are free. Pure.
 */
export class Lanes<Item> {
  readonly #laneOf: (item: Item) => string | undefined
  readonly #busy = new Set<string>()
  #waiting: Item[] = []

  /** @param laneOf undefined: the item is in no lane */
  constructor(laneOf: (item: Item) => string | undefined) {
    this.#laneOf = laneOf
  }

  get size(): number {
    return this.#waiting.length
  }

  add(item: Item): void {
    this.#waiting.push(item)
  }

  /** Takes up to `max` items whose lanes are free. A lane may give several, in order; it is busy until `done`. */
  take(max: number): Item[] {
    const taken: Item[] = []
    const passed: Item[] = []
    const mine = new Set<string>()
    for (const item of this.#waiting) {
      if (taken.length >= max) break
      const lane = this.#laneOf(item)
      if (lane !== undefined && this.#busy.has(lane) && !mine.has(lane)) {
        passed.push(item)
        continue
      }
      if (lane !== undefined) {
        mine.add(lane)
        this.#busy.add(lane)
      }
      taken.push(item)
    }
    if (taken.length > 0) this.#waiting.splice(0, taken.length + passed.length, ...passed)
    return taken
  }

  /** Frees the lanes of items that `take` gave. */
  done(items: readonly Item[]): void {
    for (const item of items) {
      const lane = this.#laneOf(item)
      if (lane !== undefined) this.#busy.delete(lane)
    }
  }

  /** Takes everything that still waits. */
  clear(): Item[] {
    const left = this.#waiting
    this.#waiting = []
    return left
  }
}
