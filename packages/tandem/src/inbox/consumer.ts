import { loopBackoff } from '../core/backoff.ts'
import { crashPoint } from '../core/crash-points.ts'
import type { Consumption, Delivery } from '../spi/broker.ts'
import type { Group } from './group.ts'
import { readIncoming, type Incoming, type Readable } from './incoming.ts'
import { Lanes } from './lanes.ts'
import { settleOne, settleSuspect, settleTogether } from './settle.ts'

interface Item<Tx> {
  readonly delivery: Delivery
  readonly incoming: Incoming<Tx>
}

type ReadableItem<Tx> = Item<Tx> & { readonly incoming: Readable<Tx> }

/** Deliveries of this number and above are taken for messages that kill their process, and go on under the retrier's eyes. */
const SUSPECT_FROM = 3
const PREFETCH = 256

/**
 * Takes deliveries of one consumer group from the broker, has them handled, and acks. What fails is recorded in the inbox, so that the
 * broker can be acked and no message waits behind another, unless its key is ordered. While the store does not answer, nothing is acked.
 */
export class Consumer<Tx> {
  readonly #group: Group<Tx>
  readonly #lanes: Lanes<Item<Tx>>
  readonly #stopping = new AbortController()
  readonly #working = new Set<Promise<void>>()
  /** Deliveries are read one after the other, so that they stay in order. */
  #reading: Promise<void> = Promise.resolve()
  #consumption: Consumption | undefined

  constructor(group: Group<Tx>) {
    this.#group = group
    const { ordered } = group.settings
    this.#lanes = new Lanes(({ incoming: { record } }) =>
      ordered && record.key !== undefined ? `${record.topic}\n${record.key}` : undefined,
    )
  }

  async start(): Promise<void> {
    const { runtime, name, topics, settings } = this.#group
    const maxInFlight = Math.max(PREFETCH, 4 * settings.concurrency * settings.transactionSize)
    this.#consumption = await runtime.broker.consume({ group: name, topics, maxInFlight }, (delivery) => {
      this.#reading = this.#reading.then(() => this.#read(delivery))
    })
  }

  /** Takes nothing new, waits for what runs, gives the rest back. */
  async stop(deadline: number): Promise<void> {
    this.#stopping.abort()
    this.#consumption?.pause()
    await this.#reading
    await Promise.all(this.#working)
    await this.#consumption?.stop(deadline)
  }

  async #read(delivery: Delivery): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const { registrations, name } = this.#group
    const incoming = await readIncoming(delivery.message, registrations, name)
    this.#lanes.add({ delivery, incoming })
    this.#pump()
  }

  #pump(): void {
    const { concurrency, transactionSize } = this.#group.settings
    while (this.#working.size < concurrency && !this.#stopping.signal.aborted) {
      const items = this.#lanes.take(transactionSize)
      if (items.length === 0) return
      const work = this.#work(items).finally(() => {
        this.#working.delete(work)
        this.#lanes.done(items)
        this.#pump()
      })
      this.#working.add(work)
    }
  }

  /** Settles items to the end, waiting as long as the store does not answer. Never rejects. */
  async #work(items: readonly Item<Tx>[]): Promise<void> {
    const { events, clock, random } = this.#group.runtime
    const left = new Set(items)
    for (let failures = 0; left.size > 0 && !this.#stopping.signal.aborted;) {
      try {
        await this.#settle([...left], (item) => {
          item.delivery.ack()
          left.delete(item)
          crashPoint('consume.acked')
        })
        if (failures > 0) events.emit('loop.recovered', () => ({ loop: 'consumer', failures }))
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        failures += 1
        events.emit('loop.failed', () => ({ loop: 'consumer', error, failures }))
        await clock.sleep(loopBackoff(failures, random), this.#stopping.signal)
      }
    }
  }

  async #settle(items: readonly Item<Tx>[], settled: (item: Item<Tx>) => void): Promise<void> {
    const rest = new Set(items)
    if (items.length > 1 && items.every(isPlain)) {
      const done = new Set(
        await settleTogether(
          this.#group,
          items.map((item) => item.incoming),
        ),
      )
      for (const item of items) {
        if (!done.has(item.incoming)) continue
        rest.delete(item)
        settled(item)
      }
    }
    for (const item of rest) {
      if (isReadable(item) && isSuspect(item)) await settleSuspect(this.#group, item.incoming, item.delivery.attempt)
      else await settleOne(this.#group, item.incoming)
      settled(item)
    }
  }
}

function isReadable<Tx>(item: Item<Tx>): item is ReadableItem<Tx> {
  return item.incoming.kind === 'readable'
}

function isSuspect({ delivery }: { readonly delivery: Delivery }): boolean {
  return delivery.attempt >= SUSPECT_FROM
}

/** Whether an item may share a transaction with others. */
function isPlain<Tx>(item: Item<Tx>): item is ReadableItem<Tx> {
  return isReadable(item) && item.incoming.registration.settings.transaction && !isSuspect(item)
}
