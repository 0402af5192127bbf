/** Tells about a transaction that others have to wait for too long. */
export class SlowWatch {
  readonly #limit: number
  readonly #warn: (text: string) => void
  readonly #othersWait: () => boolean
  #begunAt: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(limit: number, warn: (text: string) => void, othersWait: () => boolean) {
    this.#limit = limit
    this.#warn = warn
    this.#othersWait = othersWait
  }

  /** A transaction has begun. */
  begun(): void {
    this.#begunAt = performance.now()
    if (this.#othersWait()) this.waited()
  }

  ended(): void {
    this.#begunAt = undefined
  }

  /** Somebody waits. One timer at a time, however many transactions it sees come and go. */
  waited(): void {
    if (this.#timer !== undefined || this.#begunAt === undefined) return
    const left = this.#begunAt + this.#limit - performance.now()
    this.#timer = setTimeout(() => this.#look(), Math.max(1, left))
    this.#timer.unref()
  }

  #look(): void {
    this.#timer = undefined
    if (this.#begunAt === undefined || !this.#othersWait()) return
    const age = performance.now() - this.#begunAt
    if (age < this.#limit) return this.waited()
    // Once for each transaction: nothing more is watched until the next begins.
    this.#begunAt = undefined
    this.#warn(
      `a transaction has been open for ${Math.round(age)} ms while others wait for it. SQLite has one writer: do what ` +
        'takes time before or after the transaction, not in it',
    )
  }
}
