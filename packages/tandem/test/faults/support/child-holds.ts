/** Where handlers wait until the parent lets them go on. */
export class Holds {
  readonly #waiting = new Map<string, () => void>()
  readonly #released = new Set<string>()

  /** Resolves when `name` is released; rejects when the signal is aborted. */
  wait(name: string, signal?: AbortSignal): Promise<void> {
    if (this.#released.has(name)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiting.set(name, resolve)
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
  }

  release(name: string): void {
    this.#released.add(name)
    this.#waiting.get(name)?.()
  }
}
