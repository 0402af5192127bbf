import { setTimeout as delay } from 'node:timers/promises'
import { classify, toTandemError } from './sqlite-failures.ts'

/** Longest pause between two tries, in milliseconds. */
const LONGEST = 16

export interface Patience {
  /** For the message of an error: `beginning a transaction`, for example. */
  readonly doing: string
  /** When to give up, by `performance.now()`. */
  readonly deadline: number
}

/**
 * Goes on trying what has failed with `error`, as long as the reason is a lock that somebody else holds. SQLite's own waiting is
 * synchronous: it would stop the event loop, and with it the transaction of this process that is to let the lock go.
 */
export async function retryWhileBusy<T>(error: unknown, act: () => T, patience: Patience): Promise<T> {
  const since = performance.now()
  let last = error
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST)) {
    const left = patience.deadline - performance.now()
    if (classify(last) !== 'busy') throw toTandemError(last, patience.doing)
    if (left <= 0)
      throw toTandemError(last, `${patience.doing}, tried for ${Math.round(performance.now() - since)} ms,`)
    await delay(Math.min(left, pause * (0.5 + Math.random() / 2)))
    try {
      return act()
    } catch (next) {
      last = next
    }
  }
}
