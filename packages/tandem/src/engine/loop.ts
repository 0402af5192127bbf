import { loopBackoff } from '../core/backoff.ts'
import type { Runtime } from './runtime.ts'

const WOKEN = 'woken'

/**
 * A background loop: runs `tick` until it is stopped. A tick that fails is reported and run again after a backoff, for ever; a loop
 * never dies and never rejects.
 */
export class Loop {
  readonly name: string
  readonly #tick: (signal: AbortSignal) => Promise<number>
  readonly #runtime: Pick<Runtime<unknown>, 'clock' | 'random' | 'events'>
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #waking = new AbortController()
  #failures = 0

  /** @param tick resolves to the milliseconds after which it wants to run again (0: at once) */
  constructor(
    name: string,
    runtime: Pick<Runtime<unknown>, 'clock' | 'random' | 'events'>,
    tick: (signal: AbortSignal) => Promise<number>,
  ) {
    this.name = name
    this.#runtime = runtime
    this.#tick = tick
  }

  start(): void {
    if (this.#stopping.signal.aborted) return
    this.#running ??= this.#run()
  }

  /** Runs the next tick now instead of later, unless the loop is backing off from a failure. */
  wake(): void {
    // Called with every message that is sent; without a reason, abort() makes an error with a stack, even the second time.
    if (!this.#waking.signal.aborted) this.#waking.abort(WOKEN)
  }

  /** Aborts the signal of the running tick and waits for it to end. Idempotent; may be called before `start`. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.wake()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const delay = await this.#once(signal)
      if (signal.aborted) return
      if (delay > 0) await this.#runtime.clock.sleep(delay, this.#failures > 0 ? signal : this.#waking.signal)
      // Macrotask: a loop that always has work must let timers and I/O have their turn.
      else await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async #once(signal: AbortSignal): Promise<number> {
    // A wake during the tick counts for the sleep after it, so the controller is renewed before the tick.
    if (this.#waking.signal.aborted) this.#waking = new AbortController()
    try {
      const delay = await this.#tick(signal)
      if (this.#failures > 0) {
        const failures = this.#failures
        this.#runtime.events.emit('loop.recovered', () => ({ loop: this.name, failures }))
      }
      this.#failures = 0
      return delay
    } catch (error) {
      if (signal.aborted) return 0
      this.#failures += 1
      this.#runtime.events.emit('loop.failed', () => ({ loop: this.name, error, failures: this.#failures }))
      return loopBackoff(this.#failures, this.#runtime.random)
    }
  }
}
