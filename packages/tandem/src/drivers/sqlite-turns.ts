import { TandemError } from '../core/errors.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout | undefined
}

/** One turn at a time, in the order of asking. */
export class Turns {
  #taken = false
  readonly #waiting = new Set<Waiter>()

  get waiting(): number {
    return this.#waiting.size
  }

  /** Takes the turn if nobody has it. */
  tryTake(): boolean {
    if (this.#taken) return false
    this.#taken = true
    return true
  }

  /**
   * Resolves when the turn has come.
   *
   * @param timeout milliseconds; undefined waits for ever
   * @throws TandemError `STORE_BUSY` after that
   */
  take(timeout: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.delete(waiter)
        reject(new TandemError('STORE_BUSY', `other transactions of this process held the database for ${timeout} ms`))
      }
      const timer = timeout === undefined ? undefined : setTimeout(giveUp, timeout)
      const waiter: Waiter = { resolve, reject, timer }
      this.#waiting.add(waiter)
    })
  }

  /** Ends a turn; the next one begins. */
  pass(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#taken = false
      return
    }
    this.#waiting.delete(next)
    clearTimeout(next.timer)
    next.resolve()
  }

  /** Turns away everybody who waits. */
  refuse(error: TandemError): void {
    for (const { timer, reject } of this.#waiting) {
      clearTimeout(timer)
      reject(error)
    }
    this.#waiting.clear()
  }
}
