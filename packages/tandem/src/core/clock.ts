/**
 * Time as the loops see it. Only delays come from here; instants that are stored or compared between processes come from the
 * database's clock.
 */
export interface Clock {
  /** Milliseconds since the epoch. For display and for the `time` of a message, never for a lease. */
  now(): number
  /** Milliseconds that never go backwards; measures delays inside one process. */
  monotonic(): number
  /** Resolves after `ms`, or at once when `signal` is aborted. Never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** The longest time that a timer can measure; a longer one would end at once. */
const LONGEST = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const finish = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const timer = setTimeout(finish, Math.min(ms, LONGEST))
      signal.addEventListener('abort', finish, { once: true })
    }),
}

/** Randomness as the library uses it: a number in [0, 1). */
export type Random = () => number
