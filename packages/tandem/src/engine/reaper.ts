import type { LeaseKeeper } from './lease-keeper.ts'
import { Loop } from './loop.ts'
import type { Runtime } from './runtime.ts'

export interface Retention {
  /** Milliseconds for which a handled or discarded message stays in the inbox. Default 7 days. Must outlast the broker's redelivery. */
  readonly inbox: number
  /** Milliseconds for which a decided half message and its barrier stay. Default 7 days. */
  readonly half: number
}

const LEASE = 'reaper'
const INTERVAL = 60_000
/** Rows per transaction: small, so that nobody waits for a clean-up. */
const BATCH = 500

/** Deletes finished records that are older than their retention, in small transactions. Nothing unfinished ever expires. */
export class Reaper {
  readonly #runtime: Runtime<unknown>
  readonly #leases: LeaseKeeper
  readonly #retention: Retention
  readonly #loop: Loop

  constructor(runtime: Runtime<unknown>, leases: LeaseKeeper, retention: Retention) {
    this.#runtime = runtime
    this.#leases = leases
    this.#retention = retention
    this.#loop = new Loop('reaper', runtime, (signal) => this.tick(signal))
  }

  start(): void {
    this.#leases.want([LEASE])
    this.#loop.start()
  }

  /** The leases changed: look now. */
  wake(): void {
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  async tick(signal: AbortSignal): Promise<number> {
    // Soon again when somebody else has the lease: it may have just been freed.
    if (this.#leases.get(LEASE) === undefined) return INTERVAL / 6
    const { store, clock } = this.#runtime
    const steps = [
      () => store.inbox.expire(this.#retention.inbox, BATCH),
      () => store.half.expire(this.#retention.half, BATCH),
    ]
    for (const step of steps) {
      while (!signal.aborted && (await step()) >= BATCH) await clock.sleep(10, signal)
    }
    return INTERVAL
  }
}
