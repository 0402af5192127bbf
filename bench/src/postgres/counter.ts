import type { OrderTandem } from './orders.ts'

/** Counts what an instance tells, and lets one wait for a number of it. */
export class EventCounter {
  #count = 0
  #waiting: { readonly count: number; readonly resolve: () => void }[] = []

  constructor(tandem: OrderTandem, event: 'message.published' | 'message.handled') {
    tandem.on(event, () => {
      this.#count += 1
      if (this.#waiting.length === 0 || this.#count < (this.#waiting[0]?.count ?? 0)) return
      this.#waiting.shift()?.resolve()
    })
  }

  get count(): number {
    return this.#count
  }

  /** Resolves when there were so many since the beginning. Called with ascending numbers. */
  reached(count: number): Promise<void> {
    if (this.#count >= count) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ count, resolve }))
  }
}
