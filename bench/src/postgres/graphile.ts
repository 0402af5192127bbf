import { Logger, run, type Runner } from 'graphile-worker'
import type pg from 'pg'
import { takeFromStock, type Order } from './orders.ts'
import { CLIENTS, poolOf } from './server.ts'

const TASK = 'take_from_stock'
const quiet = new Logger(() => () => undefined)

/** A Graphile Worker whose tasks take from the stock: at least once, for a task and its completion are two transactions. */
export class GraphileWorkers {
  readonly #pool: pg.Pool

  constructor(url: string) {
    this.#pool = poolOf(url)
  }

  /** Resolves to jobs a second, from the start of the workers until all jobs are done. */
  async work(orders: readonly Order[]): Promise<number> {
    await this.#add(orders)
    const done = Promise.withResolvers<void>()
    let left = orders.length
    const from = performance.now()
    const runner = await this.#run(async (order) => {
      await takeFromStock(this.#pool, order)
      left -= 1
      if (left === 0) done.resolve()
    })
    await done.promise
    const rate = (orders.length / (performance.now() - from)) * 1000
    // Also sends the completions that are still to be batched.
    await runner.stop()
    return rate
  }

  /** Makes its tables. */
  async start(): Promise<void> {
    await (await this.#run(() => Promise.resolve())).stop()
  }

  stop(): Promise<void> {
    return this.#pool.end()
  }

  #run(work: (order: Order) => Promise<void>): Promise<Runner> {
    return run({
      logger: quiet,
      pgPool: this.#pool,
      noHandleSignals: true,
      taskList: { [TASK]: (payload) => work(payload as Order) },
      // Its settings for the highest throughput (docs: performance, "With batching"), with the pool that everybody has here.
      preset: {
        worker: {
          concurrentJobs: CLIENTS,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    })
  }

  async #add(orders: readonly Order[]): Promise<void> {
    await this.#pool.query(
      `SELECT count(*) FROM graphile_worker.add_jobs(ARRAY (
        SELECT json_populate_record(NULL::graphile_worker.job_spec, json_build_object('identifier', $1::text, 'payload', o))
        FROM json_array_elements($2::json) o))`,
      [TASK, JSON.stringify(orders)],
    )
  }
}
