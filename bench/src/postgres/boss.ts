import { PgBoss } from 'pg-boss'
import { TAKE_FROM_STOCK, type Order } from './orders.ts'
import { CLIENTS, POOL_SIZE } from './server.ts'

const QUEUE = 'orders'

/** A pg-boss whose transactional workers take from the stock. */
export class BossWorkers {
  readonly #boss: PgBoss

  constructor(url: string) {
    this.#boss = new PgBoss({ connectionString: url, max: POOL_SIZE, supervise: false, schedule: false })
    this.#boss.on('error', console.error)
  }

  async start(): Promise<void> {
    await this.#boss.start()
    await this.#boss.createQueue(QUEUE)
  }

  /** Resolves to jobs a second, from the first fetch until all are completed. */
  async work(orders: readonly Order[]): Promise<number> {
    await this.#boss.insert(
      QUEUE,
      orders.map((data) => ({ data })),
    )
    const done = Promise.withResolvers<void>()
    let left = orders.length
    const from = performance.now()
    const options = {
      // The handler's writes and the completion are one transaction: effect once (docs: workers, `transactional`).
      transactional: true,
      batchSize: 100,
      // "There is clearly more work": fetch again at once while batches come back full (docs: workers, `burstWhenBatchFull`).
      burstWhenBatchFull: true,
      localConcurrency: CLIENTS,
      pollingIntervalSeconds: 0.5,
    } as const
    await this.#boss.work<Order, void, typeof options>(QUEUE, options, async (batch, tx) => {
      // By row, as Tandem does it, so that batches do not deadlock.
      const sorted = batch.map(({ data }) => data).toSorted((a, b) => (a.sku < b.sku ? -1 : 1))
      for (const { sku, quantity } of sorted) await tx.executeSql(TAKE_FROM_STOCK, [quantity, sku])
      left -= batch.length
      if (left <= 0) done.resolve()
    })
    await done.promise
    await this.#boss.offWork(QUEUE)
    return (orders.length / (performance.now() - from)) * 1000
  }

  async stop(): Promise<void> {
    await this.#boss.stop({ graceful: false })
  }
}
