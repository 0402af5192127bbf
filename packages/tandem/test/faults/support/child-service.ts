import { join } from 'node:path'
import { createAdmin, type Admin } from '../../../src/admin/index.ts'
import { sqlite as sqliteBroker } from '../../../src/brokers/sqlite/index.ts'
import { errorText, isTandemError } from '../../../src/core/errors.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import { createTandem, type HandlerContext, type HalfToCheck, type Tandem } from '../../../src/index.ts'
import type { Broker } from '../../../src/spi/index.ts'
import { failAt } from '../../../src/testing/index.ts'
import { childDatabase, limitedFile, type ChildDatabase } from './child-databases.ts'
import { Holds } from './child-holds.ts'
import { RefusingBroker } from './child-refusing-broker.ts'
import { jumpTo } from './child-clock.ts'
import { OrderNoted, OrderPlaced, StockReserved, type Order } from './messages.ts'
import { EVENTS, type CommandName, type Commands, type Report, type ServiceName, type Settings } from './protocol.ts'

type CommandMap = { readonly [N in CommandName]: (input: Commands[N]['with']) => Promise<Commands[N]['gives']> }

type Tx = object

const INSERT_EFFECT = 'INSERT INTO effects (order_id, message_id, message_key, attempt, pid) VALUES (?, ?, ?, ?, ?)'
const COUNT = 'UPDATE counters SET hits = hits + 1 WHERE n = ?'
const ACT = { by: 'test', reason: 'fault test' }

/** The order service places orders and counts confirmations; the stock service counts orders and confirms them. */
export class ChildService {
  readonly #name: ServiceName
  readonly #settings: Settings
  readonly #report: (report: Report) => void
  readonly #database: ChildDatabase<Tx>
  readonly #tandem: Tandem<Tx>
  readonly #broker: RefusingBroker
  readonly #admin: Admin
  readonly #holds = new Holds()
  #stuck = false
  readonly #makeRoom: () => void

  constructor(name: ServiceName, settings: Settings, report: (report: Report) => void) {
    this.#name = name
    this.#settings = settings
    this.#report = report
    const { folder, lease, lockTimeout, maxBodyBytes, maxPages, refuse } = settings
    this.#database = childDatabase(name, settings)
    const { store } = this.#database
    const file = limitedFile(join(folder, 'broker.db'), maxPages?.broker)
    this.#makeRoom = () => {
      this.#database.makeRoom()
      file.makeRoom()
    }
    const broker: Broker = sqliteBroker(nodeSqlite(file.source, lockTimeout === undefined ? {} : { lockTimeout }), {
      lease,
      ...(maxBodyBytes === undefined ? {} : { maxBodyBytes }),
    })
    this.#broker = new RefusingBroker(broker, refuse)
    this.#tandem = createTandem({
      service: name,
      store,
      broker: this.#broker,
      lease,
      log: false,
      ...(settings.check === undefined ? {} : { check: settings.check }),
      ...(settings.relay === undefined ? {} : { relay: settings.relay }),
      ...(settings.retention === undefined ? {} : { retention: settings.retention }),
    })
    this.#admin = createAdmin({ service: name, store })
  }

  async start(): Promise<void> {
    const tandem = this.#tandem
    for (const name of EVENTS) tandem.on(name, (data) => this.#report({ kind: 'event', name, data: plain(data) }))
    const { transaction = true, ...options } = this.#settings.consume
    if (this.#name === 'order') {
      tandem.consume(StockReserved, async (reserved, { tx, message }) => {
        await this.#database.run(tx, 'INSERT INTO confirmations VALUES (?, ?)', reserved.order, message.id)
      })
      for (const type of [OrderPlaced, OrderNoted]) {
        if ((this.#settings.checks as readonly string[]).includes(type.type)) {
          tandem.check(type, (half) => this.#answer(half))
        }
      }
    } else if (transaction) {
      tandem.consume(OrderPlaced, (order, context) => this.#reserve(order, context), options)
    } else {
      tandem.consume(OrderPlaced, (order, context) => this.#reserveOutside(order, context), {
        ...options,
        transaction: false,
      })
    }
    await tandem.open()
    await tandem.transaction((tx) => this.#database.makeTables(tx))
    await tandem.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tandem[Symbol.asyncDispose]()
  }

  /** What a service does at its very end. Without effect on a connection that a handler keeps for ever. */
  async end(): Promise<void> {
    if (this.#stuck) process.exit()
    await this.#database.end()
  }

  readonly commands: CommandMap = {
    place: async ({ orders, fail, deliverIn }) => {
      await this.#tandem.transaction(async (tx) => {
        await this.#place(tx, orders, deliverIn)
        if (fail === true) throw new Error('the business said no')
      })
    },
    placeSlowly: async ({ orders }) => {
      await this.#tandem.transaction(async (tx) => {
        await this.#place(tx, orders)
        await this.#hold(orders[0]?.order ?? '', 1)
      })
    },
    transact: async ({ order, limbo, hold, fail }) => {
      const disarm = limbo && failAt(limbo === 'committed' ? 'half.local-committed' : 'half.prepared')
      try {
        await this.#tandem.transact(OrderPlaced(order), async (tx) => {
          await this.#insertOrder(tx, order)
          if (hold === true) await this.#hold(order.order, 1)
          if (fail === true) throw new Error('the business said no')
        })
      } catch (error) {
        if (limbo === undefined) throw error
      } finally {
        disarm?.()
      }
    },
    prepare: async ({ order, noted }) => {
      const half = await this.#tandem.prepare(noted === true ? OrderNoted(order) : OrderPlaced(order))
      return half.id
    },
    write: async ({ order }) => this.#tandem.transaction((tx) => this.#insertOrder(tx, order)),
    cross: async ({ order }) => {
      await this.#tandem.transaction(async (tx) => {
        // Somebody else is to lose.
        if (this.#settings.database.kind === 'postgres')
          await this.#database.run(tx, "SET LOCAL deadlock_timeout = '1h'")
        await this.#database.run(tx, COUNT, 2)
        await this.#hold(order, 1)
        await this.#database.run(tx, COUNT, 1)
      })
    },
    release: async ({ order }) => this.#holds.release(order),
    resolve: async () =>
      (await this.#admin.deadLetters.resolve({ filter: {}, all: true })).map(({ group, id }) => ({ group, id })),
    replay: async ({ refs }) => {
      const selection = refs === undefined ? { filter: {}, all: true } : { refs }
      return (await this.#admin.deadLetters.replay(selection, ACT)).results.map(({ outcome }) => outcome)
    },
    retryHeld: async ({ ids }) => {
      await this.#admin.outbox.retry(ids, ACT)
    },
    decide: async ({ id, decision }) => {
      await this.#admin.half.decide(id, decision, ACT)
    },
    accept: async () => this.#broker.accept(),
    room: async () => this.#makeRoom(),
    jump: async ({ ms }) => jumpTo(ms),
    stop: async (options) => {
      const began = performance.now()
      await this.#tandem.stop(options)
      return performance.now() - began
    },
  }

  async #place(tx: Tx, orders: readonly Order[], deliverIn?: number): Promise<void> {
    for (const order of orders) await this.#insertOrder(tx, order)
    const options = deliverIn === undefined ? {} : { deliverAt: new Date(realNow() + deliverIn) }
    await this.#tandem.send(
      tx,
      orders.map((order) => OrderPlaced(order, options)),
    )
  }

  async #reserve(order: Order, { tx, message, attempt, signal, send }: HandlerContext<Tx>): Promise<void> {
    await this.#database.run(tx, INSERT_EFFECT, order.order, message.id, order.key, attempt, process.pid)
    if (order.pad !== undefined) await this.#database.run(tx, 'INSERT INTO notes VALUES (?)', order.pad)
    await send(StockReserved({ order: order.order, key: order.key }))
    if (order.does === 'cross') await this.#database.run(tx, COUNT, 1)
    await this.#behave(order, attempt, signal)
    if (order.does === 'cross') await this.#database.run(tx, COUNT, 2)
  }

  /** Its effect is in the database all the same, so that it can be counted: it may happen more than once. */
  async #reserveOutside(order: Order, { message, attempt, signal, send }: HandlerContext<never>): Promise<void> {
    await send(StockReserved({ order: order.order, key: order.key }))
    await this.#behave(order, attempt, signal)
    await this.#tandem.transaction((tx) =>
      this.#database.run(tx, INSERT_EFFECT, order.order, message.id, order.key, attempt, process.pid),
    )
  }

  async #behave({ does, order }: Order, attempt: number, signal: AbortSignal): Promise<void> {
    if (does === undefined) return
    this.#report({ kind: 'begun', order, attempt })
    if (does === 'kill') process.kill(process.pid, 'SIGKILL')
    if (does === 'exit') process.exit(9)
    if (does === 'hold' || does === 'cross') await this.#hold(order, attempt, signal)
    if (does === 'fail-and-ignore-signal' && attempt === 1) throw new Error(`attempt 1 of ${order} fails`)
    if (does.endsWith('ignore-signal') && this.#settings.holds) {
      this.#stuck = true
      await new Promise(() => undefined)
    }
    if (does === 'fail-always' || attempt <= Number(/^fail-(\d+)$/.exec(does)?.[1] ?? 0)) {
      throw new Error(`attempt ${attempt} of ${order} fails`)
    }
  }

  async #hold(order: string, attempt: number, signal?: AbortSignal): Promise<void> {
    if (!this.#settings.holds) return
    this.#report({ kind: 'begun', order, attempt })
    await this.#holds.wait(order, signal)
  }

  async #answer({ payload: { order, answer = 'books' } }: HalfToCheck<Order>): Promise<never> {
    const answers: Record<typeof answer, () => unknown> = {
      books: async () => ((await this.#isPlaced(order)) ? 'commit' : 'unknown'),
      commit: () => 'commit',
      unknown: () => 'unknown',
      throw: () => {
        throw new Error('the check broke')
      },
      true: () => true,
      COMMIT: () => 'COMMIT',
      nothing: () => undefined,
      object: () => ({ commit: true }),
    }
    return (await answers[answer]()) as never
  }

  async #isPlaced(order: string): Promise<boolean> {
    return this.#tandem.transaction(async (tx) => {
      return (await this.#database.run(tx, 'SELECT 1 FROM orders WHERE order_id = ?', order)).length > 0
    })
  }

  async #insertOrder(tx: Tx, { order }: Order): Promise<void> {
    await this.#database.run(tx, 'INSERT INTO orders VALUES (?)', order)
  }
}

const startedAt = Date.now() - performance.now()

/** The time of day whatever `jump` has done. */
function realNow(): number {
  return startedAt + performance.now()
}

/** Errors do not survive the way to the parent. */
function plain(data: object): Record<string, unknown> {
  const { error, ...rest } = data as { error?: unknown }
  if (error === undefined) return rest
  if (typeof error === 'string') return { ...rest, error }
  return { ...rest, error: { code: isTandemError(error) ? error.code : 'none', text: errorText(error) } }
}
