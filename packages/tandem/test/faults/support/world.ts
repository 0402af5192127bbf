import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { Unreachable } from './blocking-sql.ts'
import { Books } from './books.ts'
import { isLocked, ServerDatabases, SqliteFiles, type ServerDatabase, type WorldDatabase } from './databases.ts'
import type { Behaviour, Order } from './messages.ts'
import type { DatabaseSettings, ServerKind, ServiceName, Settings } from './protocol.ts'
import { ServiceProcess, type Arming } from './service-process.ts'

/** Milliseconds of every lease in these tests; ten times shorter than the default. */
export const LEASE = 1000
/** Milliseconds that a machine may add to what the library promises, at least. */
const SLACK = 1500

/** Milliseconds from a report to the look at the books, at least: many come at once. */
const LOOK_AFTER = 25
/** How many times as long as the last look it is until the next one. */
const LOOK_SHARE = 8

const DEFAULTS: Omit<Settings, 'folder' | 'database'> = {
  lease: LEASE,
  consume: { retry: { delays: [50] } },
  check: { transactionTimeOut: 200, transactionCheckInterval: 200 },
  checks: ['orders.placed'],
  holds: true,
  migrate: true,
}

type Kind = DatabaseSettings['kind']

export type ServerWorld = World<ServerDatabase>

/** The databases of two services, a folder with their broker, and the processes on them. */
export class World<Database extends WorldDatabase = WorldDatabase> {
  readonly folder: string
  readonly database: Database
  readonly books: Books
  readonly #settings: Partial<Settings>
  readonly #processes: ServiceProcess[] = []
  readonly #watchers = new Set<() => void>()
  #slowestStart = 0
  #placed = 0
  #looking = false
  #took = 0

  constructor(databaseIn: (folder: string) => Database, settings: Partial<Settings> = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'tandem-faults-'))
    this.database = databaseIn(this.folder)
    this.books = new Books(this.folder, this.database)
    this.#settings = settings
  }

  path(file: ServiceName | 'broker'): string {
    return join(this.folder, `${file}.db`)
  }

  /**
   * Milliseconds that the machine may add to what the library promises. How loaded it is, is seen from how long a process takes to start;
   * even so it stays below the default lease, which a part that ignores the option would wait for.
   */
  get slack(): number {
    return Math.min(6000, Math.max(SLACK, 4 * this.#slowestStart))
  }

  /** Within these milliseconds work goes on: a lease, and what the machine adds. */
  get soon(): number {
    return LEASE + this.slack
  }

  /** Starts a process; resolves when its service has started. */
  async start(name: ServiceName, options: Partial<Settings> & Arming = {}): Promise<ServiceProcess> {
    const began = performance.now()
    const service = this.spawn(name, options)
    await service.ready()
    this.#slowestStart = Math.max(this.#slowestStart, performance.now() - began)
    return service
  }

  /** Starts a process and waits for nothing. */
  spawn(name: ServiceName, { killAt, freezeAt, ...settings }: Partial<Settings> & Arming = {}): ServiceProcess {
    const service = new ServiceProcess(
      name,
      { ...DEFAULTS, database: this.database.settings(name), ...this.#settings, ...settings, folder: this.folder },
      { ...(killAt === undefined ? {} : { killAt }), ...(freezeAt === undefined ? {} : { freezeAt }) },
      () => this.#told(),
    )
    this.#processes.push(service)
    return service
  }

  /** How many orders were made. */
  get placed(): number {
    return this.#placed
  }

  /** The orders that were made since there were `count`. */
  placedSince(count: number): readonly string[] {
    return Array.from({ length: this.#placed - count }, (_, i) => `o${count + i}`)
  }

  /** New orders, on the keys `k0` to `k7` in turn: one for each shard of the outbox and each partition of the broker. */
  orders(count: number, more: Partial<Order> & { readonly does?: Behaviour } = {}): Order[] {
    return Array.from({ length: count }, (_, i) => ({ order: `o${this.#placed++}`, key: `k${i % 8}`, ...more }))
  }

  /**
   * Resolves as soon as `open` gives nothing any more; it is asked now and whenever a process tells something.
   *
   * @param within milliseconds
   * @returns milliseconds that it took
   * @throws when something is wrong that cannot heal, or time is up
   */
  until(open: () => readonly string[], within: number): Promise<number> {
    const began = performance.now()
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#watchers.delete(look)
      }
      const look = (): void => {
        try {
          expect(this.books.wrong()).toEqual([])
          expect(this.faults()).toEqual([])
          if (open().length > 0) return
        } catch (error) {
          // A server that is down: it is asked again when somebody tells something.
          if (error instanceof Unreachable) return
          end()
          return reject(error instanceof Error ? error : new Error(String(error)))
        }
        end()
        resolve(performance.now() - began)
      }
      const timer = setTimeout(() => {
        // The last look may have been a while ago.
        look()
        if (!this.#watchers.has(look)) return
        end()
        try {
          reject(new Error(`after ${within} ms:\n${open().join('\n')}`))
        } catch (error) {
          reject(new Error(`after ${within} ms the database cannot be reached`, { cause: error }))
        }
      }, within)
      this.#watchers.add(look)
      look()
    })
  }

  /** Resolves when everything that was committed is handled and confirmed, and nothing is left anywhere. */
  settled(within: number = this.soon): Promise<number> {
    return this.until(() => this.books.unfinished(), within)
  }

  /** As `settled`, for a backlog of any length: time is up when nothing of it was finished for so long. */
  async drained(within: number): Promise<void> {
    for (let left = Number.POSITIVE_INFINITY; ;) {
      try {
        await this.settled(within)
        return
      } catch (error) {
        const before = left
        left = this.books.unfinished().length
        if (left >= before) throw error
      }
    }
  }

  /**
   * Resolves when the process is stopped at its point.
   *
   * @throws Unlucky
   */
  async frozen(service: ServiceProcess): Promise<void> {
    await service.frozen()
    if (isLocked(this.path('broker')) || this.database.isHeldBy(service.pid)) throw new Unlucky()
  }

  faults(): readonly string[] {
    return this.#processes.flatMap((service) => service.faults)
  }

  /** Tells all processes that are left to stop: they do, within the deadline, and nothing of theirs stays connected. */
  async stopAll(): Promise<void> {
    const left = this.#processes.filter(({ alive }) => alive)
    for (const service of left) {
      expect(await service.ask('stop', { deadline: 5000 })).toBeLessThan(5000)
      expect(await service.died()).toEqual({ code: 0, signal: null })
    }
  }

  /** Ends all processes and looks once more at what they left. */
  async close(): Promise<void> {
    await Promise.all(this.#processes.map((service) => service.kill()))
    expect(this.faults()).toEqual([])
    expect(this.books.wrong()).toEqual([])
    this.#remove()
  }

  async abandon(): Promise<void> {
    await Promise.all(this.#processes.map((service) => service.kill()))
    this.#remove()
  }

  story(): string {
    return this.#processes.map((service) => service.story()).join('\n')
  }

  #remove(): void {
    this.database.drop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Reports that come one after another are looked at together, the less often the longer a look takes: nobody else runs meanwhile. */
  #told(): void {
    if (this.#looking) return
    this.#looking = true
    setTimeout(
      () => {
        this.#looking = false
        const began = performance.now()
        for (const look of this.#watchers) look()
        this.#took = performance.now() - began
      },
      Math.max(LOOK_AFTER, LOOK_SHARE * this.#took),
    )
  }
}

/**
 * The process was frozen in the middle of another transaction. The locks that it holds go with a process that dies, but not with one that
 * stands still, so that nobody can do anything then; there is nothing to test.
 */
class Unlucky extends Error {}

/** On which databases a test runs, and what its processes are told. */
export interface FaultTestOptions extends Partial<Settings> {
  /** Default: all of them. */
  readonly on?: readonly Kind[]
}

/** Servers that all tests share: a test that harms one starts its own. */
const SHARED: Readonly<Record<ServerKind, (() => ServerDatabase) | undefined>> = {
  postgres: inject('postgres') && (() => new ServerDatabases('postgres', inject('postgres')!.tcp)),
  mariadb: inject('mariadb') && (() => new ServerDatabases('mariadb', inject('mariadb')!.tcp)),
}
const SERVER_KINDS = Object.keys(SHARED) as ServerKind[]

/**
 * A test in a world of its own, on each database. Those on servers are skipped where there is none. Tests of a file run beside each other:
 * most of their time is waiting for leases.
 */
export function faultTest(name: string, run: (world: World) => Promise<void>, options: FaultTestOptions = {}): void {
  const { on = ['sqlite', ...SERVER_KINDS], ...settings } = options
  if (on.includes('sqlite')) {
    test.concurrent(name, () => inWorld(() => new World((folder) => new SqliteFiles(folder), settings), run))
  }
  serverTest(name, run, { ...settings, on: SERVER_KINDS.filter((kind) => on.includes(kind)) })
}

/** A test of what only a server can do to a service, or what stands before it. */
export function serverTest(
  name: string,
  run: (world: ServerWorld) => Promise<void>,
  options: Partial<Settings> & { readonly on?: readonly ServerKind[] } = {},
): void {
  const { on = SERVER_KINDS, ...settings } = options
  for (const kind of on) {
    const make = SHARED[kind]
    const title = `${name} (${kind})`
    if (make === undefined) test.skip(title)
    else test.concurrent(title, () => inWorld(() => new World(make, settings), run))
  }
}

/** A test of what only SQLite can do to a service. */
export function sqliteTest(name: string, run: (world: World) => Promise<void>, settings?: Partial<Settings>): void {
  faultTest(name, run, { ...settings, on: ['sqlite'] })
}

/** Runs a test in a world, and looks at the books at its end. */
export async function inWorld<Database extends WorldDatabase>(
  make: () => World<Database>,
  run: (world: World<Database>) => Promise<void>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const world = make()
    try {
      await run(world)
      return await world.close()
    } catch (error) {
      await world.abandon()
      if (error instanceof Unlucky && tries < 5) continue
      const failed = error as Error
      failed.message += `\n${world.story()}`
      throw failed
    }
  }
}
