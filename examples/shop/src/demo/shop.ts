import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SERVICES } from '../services.ts'
import { Duplicates } from './duplicates.ts'
import { Gauges } from './gauges.ts'
import type { ServerKind } from './layouts.ts'
import type { DemoOptions } from './options.ts'
import { Person } from './person.ts'
import { UNKNOWN_ARTICLE, type Plan } from './plan.ts'
import { serverNames, type Places } from './places.ts'
import type { Happening } from './protocol.ts'
import { seededRandom } from './random.ts'
import { COMPILE_CACHE, ServiceProcess } from './service-process.ts'
import type { Picture, View } from './view.ts'

/** Milliseconds between two looks at how things are. */
const LOOK_EVERY = 200
/** Orders that customers wait for at the same time. When a service is down they wait, and no more come. */
const CUSTOMERS = 40
/** Milliseconds without any change before the demo gives up waiting. */
const PATIENCE = 60_000
/** Milliseconds for each order, after the last one is placed, in which all of them must have come to their end; on top of the above. */
const PATIENCE_PER_ORDER = 60

/** The three processes, the customers, the trouble, and whoever looks after it. */
export class Shop {
  readonly #folder: string
  readonly #places: Places
  readonly #plan: Plan
  readonly #options: DemoOptions
  readonly #view: View
  readonly #gauges: Gauges
  readonly #duplicates: Duplicates
  readonly #person: Person
  readonly #services: readonly ServiceProcess[]
  readonly #waiting = new Set<Promise<void>>()
  readonly #problems: string[] = []
  readonly #toSendBack: Set<string>
  readonly #stuck = Promise.withResolvers<never>()
  #half: 'untouched' | 'its process is dead' | 'told' = 'untouched'
  #answeredAt = 0
  #failed = 0
  #dropped = 0

  constructor(folder: string, places: Places, plan: Plan, options: DemoOptions, view: View) {
    this.#folder = folder
    this.#places = places
    this.#plan = plan
    this.#options = options
    this.#view = view
    this.#gauges = new Gauges(places.databases, folder)
    this.#duplicates = new Duplicates(folder, seededRandom(options.seed + 1))
    this.#services = SERVICES.map(
      (name) =>
        new ServiceProcess(name, folder, places.of(name), {
          died: (service, how) => this.#died(service, how),
          happened: (event) => this.#happened(event),
        }),
    )
    this.#person = new Person(places.databases, plan, this.#service('stock'), view)
    this.#toSendBack = new Set(plan.sentBack)
    this.#stuck.promise.catch(() => undefined)
  }

  /** What went wrong besides the books. */
  get problems(): readonly string[] {
    return this.#problems
  }

  /** Runs it all, to the end or until patience is over. @returns whether everything came to its end */
  async run(): Promise<boolean> {
    await this.#open()
    this.#answeredAt = performance.now()
    const looking = new AbortController()
    const look = this.#keepLooking(looking.signal)
    try {
      await this.#orBroken(Promise.race([this.#placeAll(), this.#stuck.promise]))
      return await this.#orBroken(this.#settle())
    } finally {
      looking.abort()
      await Promise.race([look, sleep(2000, undefined, { ref: false })])
    }
  }

  /** Stops the services as one stops them in earnest: what they have begun, they finish. */
  async close(): Promise<void> {
    this.#view.clear()
    this.#gauges.close()
    await Promise.allSettled([this.#duplicates.close(), this.#person.close()])
    // Last, so that SQLite finds nobody else at the files and tidies up.
    await Promise.all(this.#services.map((service) => service.stop(10_000)))
    this.#clean()
  }

  /** Ends the processes at once. */
  end(): void {
    this.#view.clear()
    for (const service of this.#services) service.end()
    this.#clean()
  }

  #clean(): void {
    rmSync(join(this.#folder, COMPILE_CACHE), { recursive: true, force: true, maxRetries: 5 })
  }

  #service(name: (typeof SERVICES)[number]): ServiceProcess {
    return this.#services[SERVICES.indexOf(name)]!
  }

  async #open(): Promise<void> {
    const began = performance.now()
    for (const service of this.#services) service.start()
    const { articles, accounts } = this.#plan
    const stock = this.#service('stock')
    const payment = this.#service('payment')
    const asked = Promise.all([
      this.#service('order').ask({ do: 'ping' }),
      ...[...articles]
        .filter(([sku]) => sku !== UNKNOWN_ARTICLE)
        .map(([sku, quantity]) => stock.ask({ do: 'add-article', sku, quantity })),
      ...[...accounts].map(([account, balance]) => payment.ask({ do: 'open-account', account, balance })),
    ])
    const late = sleep(PATIENCE, undefined, { ref: false }).then(() => {
      throw new Error(`the services are not there after ${PATIENCE / 1000} s`)
    })
    await this.#orBroken(Promise.race([asked, late]))
    const pids = this.#services.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')
    this.#view.note(`${pids} are running after ${Math.round(performance.now() - began)} ms.`)
  }

  async #placeAll(): Promise<void> {
    const { orders, half, kills, serverKills, duplicates, pace } = this.#plan
    const order = this.#service('order')
    const trouble = [...kills]
    const serverTrouble = [...serverKills]
    let next = performance.now()
    for (const [i, one] of orders.entries()) {
      while (trouble[0] !== undefined && trouble[0].afterOrders <= i) {
        const { service, thenAt } = trouble.shift()!
        this.#service(service).kill({ thenAt })
      }
      while (serverTrouble[0] !== undefined && serverTrouble[0].afterOrders <= i) {
        this.#wait(this.#crashServer(serverTrouble.shift()!.server))
      }
      if (duplicates[i]! > 0) this.#wait(this.#deliverAgain(duplicates[i]!))
      // No other trouble in between, so that it dies just where it should.
      if (one === half) await this.#placeHalf()
      this.#wait(order.ask({ do: 'place', order: one }))
      while (this.#waiting.size >= CUSTOMERS) await Promise.race(this.#waiting)
      next = Math.max(next + this.#plan.pace, performance.now() - 1000)
      const early = next - performance.now()
      await sleep(Math.max(0, Math.min(early, pace * 2)))
    }
    // Once more, when everything has been published.
    if (this.#options.faults === 'all') this.#wait(this.#deliverAgain(20))
    while (this.#waiting.size > 0) await Promise.all(this.#waiting)
    this.#view.note(`all ${orders.length} orders are placed; now what has been begun has to come to its end.`)
  }

  /**
   * One order with a half message; its process dies between the local transaction and the commit. The customer, who has got no answer,
   * asks again later: the order is there, and nothing more is sent for it.
   */
  async #placeHalf(): Promise<void> {
    const service = this.#service('order')
    const order = this.#plan.half
    if (this.#options.faults === 'none') return service.ask({ do: 'place-with-half-message', order })
    await service.ask({ do: 'place-with-half-message-and-wait', order })
    service.kill({ when: `between its local transaction and the commit of the half message of ${order.orderId}` })
    this.#half = 'its process is dead'
  }

  /** Kills a database server, with all that is open on it, and starts it again. */
  async #crashServer(kind: ServerKind): Promise<void> {
    const began = performance.now()
    await this.#places.crash(kind)
    const took = Math.round(performance.now() - began)
    this.#view.note(`${serverNames([kind])} killed with SIGKILL; it was away for ${took} ms.`, 'red')
  }

  async #deliverAgain(count: number): Promise<void> {
    await this.#duplicates.deliver(count).catch((error: unknown) => {
      this.#view.note(`the demo could not deliver duplicates: ${String(error)}`)
    })
  }

  /** Remembers something that has to end before the demo does. */
  #wait(work: Promise<void>): void {
    const settled: Promise<void> = work
      .then(() => void (this.#answeredAt = performance.now()))
      .catch((error: unknown) => void this.#problems.push(String(error)))
      .finally(() => this.#waiting.delete(settled))
    this.#waiting.add(settled)
  }

  async #settle(): Promise<boolean> {
    const last = performance.now() + PATIENCE + PATIENCE_PER_ORDER * this.#plan.orders.length
    let state = ''
    let settled = 0
    for (let changed = 0; ; await sleep(LOOK_EVERY)) {
      // Twice in a row: a message could slip through while one database is read after the other.
      settled = (await this.#gauges.read()) && this.#isSettled() ? settled + 1 : 0
      if (settled === 2) return true
      const now = performance.now()
      const before = state
      state = JSON.stringify(this.#gauges.last)
      if (state !== before) changed = now
      if (now > Math.min(last, changed + PATIENCE)) return false
    }
  }

  #isSettled(): boolean {
    const { completed, cancelled, dead, retrying, unsent, undecided, queueIsEmpty } = this.#gauges.last
    const open = dead + retrying + unsent + undecided + this.#toSendBack.size + this.#waiting.size
    return completed + cancelled === this.#plan.orders.length && open === 0 && queueIsEmpty
  }

  async #keepLooking(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#gauges.read()
      this.#view.show(this.#picture())
      await this.#sendBack()
      await this.#watchHalf()
      if (performance.now() - this.#answeredAt > PATIENCE) {
        this.#stuck.reject(new Error(`no customer has got an answer for ${PATIENCE / 1000} s`))
      }
      if (this.#gauges.last.dead > 0) {
        await this.#person.look().catch((error: unknown) => {
          this.#view.note(`the dead letters could not be looked at: ${String(error)}`)
        })
      }
      await sleep(LOOK_EVERY, undefined, { signal }).catch(() => undefined)
    }
    this.#view.show(this.#picture())
  }

  /** Customers who send their order back do so as soon as it is completed. */
  async #sendBack(): Promise<void> {
    for (const [orderId, state] of await this.#gauges.statesOf(this.#toSendBack)) {
      if (state === 'completed') this.#wait(this.#service('order').ask({ do: 'cancel', orderId }))
      if (state !== 'placed') this.#toSendBack.delete(orderId)
    }
  }

  /** Tells how the half message ended whose process has died. */
  async #watchHalf(): Promise<void> {
    if (this.#half !== 'its process is dead') return
    const { orderId } = this.#plan.half
    const states = await this.#gauges.halfStatesOf(orderId)
    if (states.length === 0 || states.includes('prepared')) return
    this.#half = 'told'
    const end = states.includes('committed')
      ? 'its local transaction had committed, so the message is sent now'
      : 'its local transaction had not committed, so the message is never sent'
    this.#view.note(`order has asked itself what became of the half message of ${orderId} (a check): ${end}.`, 'cyan')
  }

  #picture(): Picture {
    return {
      ...this.#gauges.last,
      orders: this.#plan.orders.length,
      failed: this.#failed,
      duplicates: this.#dropped,
      services: this.#services,
    }
  }

  #orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, ...this.#services.map(({ broken }) => broken)])
  }

  #died({ name, deaths }: ServiceProcess, how: string): void {
    this.#view.note(`${name} ${how} (its ${ordinal(deaths)} death); started again.`, 'red')
  }

  #happened(event: Happening): void {
    if (event === 'duplicate') this.#dropped += 1
    else this.#failed += 1
  }
}

function ordinal(n: number): string {
  const suffix = { 1: 'st', 2: 'nd', 3: 'rd' }[n % 100 > 10 && n % 100 < 20 ? 0 : n % 10] ?? 'th'
  return `${n}${suffix}`
}
