import type { Clock } from '../../src/core/clock.ts'

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

/** Where every simulated clock begins. */
export const EPOCH: number = Date.parse('2026-01-01T00:00:00Z')

/** Time that passes only when a test says so. */
export class SimulatedClock implements Clock {
  #now = EPOCH
  readonly #sleepers = new Set<Sleeper>()

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now - EPOCH
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const wake = (): void => {
        this.#sleepers.delete(sleeper)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const sleeper = { due: this.#now + ms, wake }
      this.#sleepers.add(sleeper)
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  /** Milliseconds for which the sleepers still sleep, the next one to wake first. */
  get sleeping(): readonly number[] {
    return [...this.#sleepers].map(({ due }) => due - this.#now).toSorted((a, b) => a - b)
  }

  /** Lets time pass without waking anybody. */
  jump(ms: number): void {
    this.#now += ms
  }

  /** Lets time pass, wakes who is due, in order, and lets each do what it has to. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    await turns()
    for (;;) {
      const [next] = [...this.#sleepers].filter(({ due }) => due <= target).toSorted((a, b) => a.due - b.due)
      if (next === undefined) break
      this.#now = Math.max(this.#now, next.due)
      next.wake()
      await turns()
    }
    this.#now = target
    await turns()
  }
}

/** Lets everything run that has nothing to wait for but its turn. */
export async function turns(count = 40): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Waits, turn by turn and without a timer, until `condition` holds. */
export async function until(condition: () => boolean | Promise<boolean>, what = String(condition)): Promise<void> {
  for (let i = 0; i < 5000; i++) {
    if (await condition()) return
    await turns(1)
  }
  throw new Error(`this did not come true: ${what}`)
}
