import type { RetryMessage } from '../spi/store.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import { Loop } from './loop.ts'
import type { Runtime } from './runtime.ts'

export interface RetrierSettings {
  readonly group: string
  /** Retries at the same time. */
  readonly concurrency: number
  /** Handles one message again, to the end; records success or failure itself. Rejects only when the store fails. */
  readonly handle: (message: RetryMessage) => Promise<void>
}

const BATCH = 100

/**
 * Runs the retries of one consumer group when they are due. One process of the group does it, under a lease. A message whose last
 * attempt ended with the death of its process is handled alone, so that a message which kills processes takes no other down with it.
 */
export class Retrier {
  readonly #runtime: Runtime<unknown>
  readonly #leases: LeaseKeeper
  readonly #settings: RetrierSettings
  readonly #lease: string
  readonly #loop: Loop
  readonly #running = new Map<string, Promise<void>>()
  #alone = false
  #failure: { readonly error: unknown } | undefined

  constructor(runtime: Runtime<unknown>, leases: LeaseKeeper, settings: RetrierSettings) {
    this.#runtime = runtime
    this.#leases = leases
    this.#settings = settings
    this.#lease = `retrier/${settings.group}`
    this.#loop = new Loop('retrier', runtime, (signal) => this.tick(signal))
  }

  start(): void {
    this.#leases.want([this.#lease])
    this.#loop.start()
  }

  /** A message was set aside, or let go on: look when it is due. */
  wake(): void {
    this.#loop.wake()
  }

  /** Begins no further retry and waits for those that run. */
  async stop(): Promise<void> {
    await this.#loop.stop()
    await this.settled()
  }

  /** Waits for the retries that run now. Public for tests that step time by hand. */
  async settled(): Promise<void> {
    await Promise.all(this.#running.values())
  }

  /** Begins what is due and fits. Resolves to the milliseconds until the next look; the end of a retry wakes the loop. */
  async tick(signal: AbortSignal): Promise<number> {
    const failure = this.#failure
    if (failure !== undefined) {
      this.#failure = undefined
      throw failure.error
    }
    if (this.#leases.get(this.#lease) === undefined || this.#alone) return 1000
    const { group, concurrency } = this.#settings
    const { due, nextIn } = await this.#runtime.store.inbox.due([group], BATCH)
    for (const message of due) {
      if (signal.aborted || this.#alone || this.#running.size >= concurrency) break
      if (this.#running.has(message.id)) continue
      if (!message.unfinished) this.#begin(message)
    }
    const suspect = due.find((message) => message.unfinished && !this.#running.has(message.id))
    if (suspect !== undefined && this.#running.size === 0 && !signal.aborted) {
      this.#alone = true
      this.#begin(suspect)
    }
    // At least every second: a person's replay may come from another process.
    return this.#running.size > 0 || due.length > 0 ? 1000 : Math.min(1000, nextIn ?? 1000)
  }

  #begin(message: RetryMessage): void {
    const run = async (): Promise<void> => {
      try {
        await this.#settings.handle(message)
      } catch (error) {
        this.#failure = { error }
      } finally {
        this.#running.delete(message.id)
        this.#alone = false
        this.#loop.wake()
      }
    }
    this.#running.set(message.id, run())
  }
}
