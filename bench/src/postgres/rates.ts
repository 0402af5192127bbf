import type pg from 'pg'
import { rateOf } from '../harness/clients.ts'
import { feedingBroker } from '../harness/feeding-broker.ts'
import { freeBroker, stopwatch } from '../harness/stopwatch-broker.ts'
import { OrderPlaced, orderOf, placeOrder, storeOn, takeFromStock, tandemOn } from './orders.ts'
import { outgoing, seedOutbox } from './outgoing.ts'
import { CLIENTS, poolOf, type Database } from './server.ts'

/** One database, and the three rates of Tandem on it. Both ends of it are closed between two measurements, as a restart would. */
export class Rates {
  readonly #database: Database
  readonly #pool: pg.Pool
  #number: number

  /** @param first number of the first order: no two instances on one database may place the same */
  constructor(database: Database, first = 0) {
    this.#database = database
    this.#pool = poolOf(database.url)
    this.#number = first
  }

  get pool(): pg.Pool {
    return this.#pool
  }

  /** Orders with a message, a second. Their messages stay in the outbox. */
  async send(count: number): Promise<number> {
    const tandem = tandemOn('order', this.#pool, freeBroker())
    await tandem.open()
    const rate = await rateOf(CLIENTS, count, () => placeOrder(tandem, orderOf(this.#number++)))
    await tandem.stop()
    return rate
  }

  /**
   * Messages that are published from the outbox, a second.
   *
   * @param add puts them there first; false: takes from those that are there
   */
  async drain(count: number, add: boolean): Promise<number> {
    if (add) {
      const store = storeOn(this.#pool)
      await store.open({ service: 'order' })
      await seedOutbox(store, count)
    }
    const { broker, seconds } = stopwatch(freeBroker(), count)
    const tandem = tandemOn('order', this.#pool, broker)
    await tandem.start()
    const rate = count / (await seconds)
    await tandem.stop()
    return rate
  }

  /** Messages that are handled, one a transaction, a second. */
  async handle(count: number): Promise<number> {
    const { broker, feed } = feedingBroker()
    const tandem = tandemOn('stock', this.#pool, broker)
    tandem.consume(OrderPlaced, (order, { tx }) => takeFromStock(tx, order), { concurrency: CLIENTS })
    await tandem.start()
    const messages = Array.from({ length: count }, () => outgoing(this.#number++))
    const rate = count / (await feed(messages))
    await tandem.stop()
    return rate
  }

  /** Removes what is left in the outbox. */
  async clear(): Promise<void> {
    await this.#database.query('DELETE FROM tandem.outbox')
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}
