import type { Fence } from '../spi/store.ts'
import { Loop } from './loop.ts'
import type { Runtime } from './runtime.ts'

/**
 * Holds this process's leases: takes its share, renews them every third of their time, and gives them up at the end. A lease that could
 * not be renewed counts as lost one tenth before the database says so, so that a process which cannot reach the database stops by itself.
 */
export class LeaseKeeper {
  readonly #runtime: Runtime<unknown>
  readonly #ttl: number
  readonly #loop: Loop
  readonly #groups = new Map<string, readonly string[]>()
  readonly #changed: () => void
  readonly #asked = Promise.withResolvers<void>()
  #held = new Map<string, Fence>()
  #validUntil = 0

  /**
   * @param ttl milliseconds after which a lease that is not renewed is free. Others ask every third of it, so that work rests for 4/3 of
   * it at most after a process dies
   */
  constructor(runtime: Runtime<unknown>, ttl: number, changed: () => void) {
    this.#runtime = runtime
    this.#ttl = ttl
    this.#changed = changed
    this.#loop = new Loop('leases', runtime, () => this.tick().finally(this.#asked.resolve))
  }

  /** Wants its share of `names`. They are told apart from other groups by the first name. */
  want(names: readonly string[]): void {
    const [first] = names
    if (first !== undefined) this.#groups.set(first, names)
    this.#loop.wake()
  }

  /** Resolves when the leases have been asked for once, with or without success. */
  start(): Promise<void> {
    this.#loop.start()
    return this.#asked.promise
  }

  /** The lease `name`, if it is held and still good by this process's own clock. */
  get(name: string): Fence | undefined {
    return this.#runtime.clock.monotonic() < this.#validUntil ? this.#held.get(name) : undefined
  }

  /** One renewal. Public for tests that step time by hand. */
  async tick(): Promise<number> {
    const { store, process, clock } = this.#runtime
    // The time is taken before the call: the database's lease can only end later than what is believed here.
    const asked = clock.monotonic()
    const fences = await store.leases.exchange(process, [...this.#groups.values()], this.#ttl)
    const changed =
      fences.length !== this.#held.size || fences.some((fence) => this.#held.get(fence.name)?.token !== fence.token)
    this.#held = new Map(fences.map((fence) => [fence.name, fence]))
    this.#validUntil = asked + this.#ttl * 0.9
    if (changed) this.#changed()
    return this.#ttl / 3
  }

  /** Gives everything up, so that others go on at once. A failure is left to the leases' expiry. */
  async stop(): Promise<void> {
    await this.#loop.stop()
    const wasHeld = this.#validUntil > 0
    this.#held.clear()
    this.#validUntil = 0
    if (wasHeld) await this.#runtime.store.leases.release(this.#runtime.process).catch(() => undefined)
  }
}
