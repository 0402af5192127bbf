/** What a process and its child send each other. */
export interface Letter {
  readonly name: string
  readonly value: unknown
}

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** Letters by name, in order of arrival, for whoever asks, before or after they come. */
export class Mailbox {
  readonly #letters = new Map<string, unknown[]>()
  readonly #waiters = new Map<string, Waiter[]>()
  #closed: Error | undefined

  put({ name, value }: Letter): void {
    const waiter = this.#waiters.get(name)?.shift()
    if (waiter !== undefined) return waiter.resolve(value)
    const letters = this.#letters.get(name) ?? []
    letters.push(value)
    this.#letters.set(name, letters)
  }

  /** Resolves to the value of the next letter of this name. Rejects once the box is closed and none is left. */
  next(name: string): Promise<unknown> {
    const letters = this.#letters.get(name)
    if (letters !== undefined && letters.length > 0) return Promise.resolve(letters.shift())
    const closed = this.#closed
    if (closed !== undefined) return Promise.reject(closed)
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(name) ?? []
      waiters.push({ resolve, reject })
      this.#waiters.set(name, waiters)
    })
  }

  /** Nothing comes any more. */
  close(reason: Error): void {
    this.#closed ??= reason
    for (const waiter of [...this.#waiters.values()].flat()) waiter.reject(reason)
    this.#waiters.clear()
  }
}
