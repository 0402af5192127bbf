import type { DatabaseSync } from 'node:sqlite'
import { memory, type MemoryBroker } from '../../../src/brokers/memory/index.ts'
import { message } from '../../../src/core/message.ts'
import type { WireMessage } from '../../../src/core/wire.ts'
import { EPOCH, turns } from '../clock.ts'
import { rows, testDatabase, type TestStore, type Tx } from '../store.ts'
import { armSimulation } from './mortal.ts'
import { SimulatedProcess, type ServiceProgram } from './process.ts'

/** What the simulation is about: an order is placed, stock is reserved for it, and the order hears of it. */
export const Placed = message<{ n: number }>('placed')
const Reserved = message<{ n: number }>('reserved')

/** The consumer groups, with the type that each handles. */
export const GROUPS = [
  { group: 'stock', service: 'stock', type: 'placed' },
  { group: 'audit', service: 'stock', type: 'placed' },
  { group: 'order', service: 'order', type: 'reserved' },
] as const

export type ServiceName = 'order' | 'stock'
export type GroupName = (typeof GROUPS)[number]['group']

/** What has become of the local transaction of a half message, in a system where Tandem has no table. */
export type Legacy = 'open' | 'committed' | 'failed'

/** What a check says while it does not know. All of it must count as "unknown". */
export type Ignorance = 'unknown' | 'odd' | 'throws'

const RETRY = { maxAttempts: 3, delays: [1000, 5000] }

export interface Service {
  readonly db: DatabaseSync
  readonly store: TestStore
  readonly program: ServiceProgram
  processes: SimulatedProcess[]
}

/** Two services, a broker, and a clock. Nothing moves by itself. */
export class World {
  readonly broker: MemoryBroker
  readonly services: Record<ServiceName, Service>
  /** How often the handler of a group will fail, or take its process down, with message `n`; as `group/n`. */
  readonly fails = new Map<string, number>()
  readonly kills = new Map<string, number>()
  readonly legacy = new Map<number, Legacy>()
  /** Everything that the broker has taken. */
  readonly published: WireMessage[] = []
  ignorance: Ignorance = 'unknown'
  readonly #time: { now: number }
  #ids = 0
  #names = 0
  readonly #stopsKeyOnFailure: boolean
  readonly #disarm = armSimulation()

  private constructor(
    time: { now: number },
    stopsKeyOnFailure: boolean,
    broker: MemoryBroker,
    databases: Record<ServiceName, { db: DatabaseSync; store: TestStore }>,
  ) {
    this.#time = time
    this.#stopsKeyOnFailure = stopsKeyOnFailure
    this.broker = broker
    this.services = {
      order: { ...databases.order, program: this.#orderProgram(), processes: [] },
      stock: { ...databases.stock, program: this.#stockProgram(), processes: [] },
    }
  }

  static async create(stopsKeyOnFailure: boolean): Promise<World> {
    const time = { now: EPOCH }
    const now = (): number => time.now
    const clock = { now, monotonic: now, sleep: () => new Promise<void>(() => undefined) }
    const broker = memory({ clock })
    const database = async (): Promise<{ db: DatabaseSync; store: TestStore }> => {
      const made = await testDatabase(now)
      made.db.exec('CREATE TABLE effects (seq INTEGER PRIMARY KEY, grp TEXT NOT NULL, n INTEGER NOT NULL)')
      return made
    }
    const world = new World(time, stopsKeyOnFailure, broker, { order: await database(), stock: await database() })
    await broker.open({ service: 'world' })
    await broker.ensure({
      topics: ['placed', 'reserved'],
      groups: GROUPS.map(({ group, type }) => ({ group, topics: [type] })),
    })
    await world.begin('order')
    await world.begin('stock')
    return world
  }

  now(): number {
    return this.#time.now
  }

  advance(ms: number): void {
    this.#time.now += ms
  }

  alive(service: ServiceName): readonly SimulatedProcess[] {
    const { processes } = this.services[service]
    return processes.filter(({ dead }) => !dead)
  }

  /** Starts one more process of a service. */
  async begin(service: ServiceName): Promise<SimulatedProcess> {
    const { store, program } = this.services[service]
    const process = new SimulatedProcess({
      name: `${service}-${++this.#names}`,
      program,
      store,
      broker: this.broker.connect(),
      stopsKeyOnFailure: this.#stopsKeyOnFailure,
      now: () => this.now(),
      newId: () => this.#newId(),
      published: (one) => this.published.push(one),
    })
    this.services[service].processes = [...this.alive(service), process]
    await process.start()
    await this.settle()
    return process
  }

  /** The broker puts a copy of a message into its topic, as it does after a publication whose answer was lost. */
  async duplicate(index: number): Promise<void> {
    const copy = this.published[index % Math.max(1, this.published.length)]
    if (copy === undefined) return
    await this.broker.publish([copy], { signal: new AbortController().signal })
    await this.settle()
  }

  /** Waits until deliveries have come to where they wait. */
  settle(): Promise<void> {
    return turns(2)
  }

  /** Numbers in the order in which they were applied: by one group, or by all. */
  effects(service: ServiceName, group = '%'): number[] {
    const { db } = this.services[service]
    return rows<{ n: number }>(db, 'SELECT n FROM effects WHERE grp LIKE ? ORDER BY seq', group).map(({ n }) => n)
  }

  halfState(id: string): string | undefined {
    const { db } = this.services.order
    return rows<{ state: string }>(db, 'SELECT state FROM tandem_half WHERE id = ?', id)[0]?.state
  }

  async close(): Promise<void> {
    this.#disarm()
    for (const { processes, store, db } of Object.values(this.services)) {
      for (const process of processes) process.die()
      await this.settle()
      await store.close()
      db.close()
    }
  }

  /** UUIDv7 in form, and the same in every run of a seed. */
  #newId(): string {
    const count = (++this.#ids).toString(16).padStart(12, '0')
    return `01900000-0000-7000-8000-${count}`
  }

  /** What every handler here does: fail or die as planned, or leave its effect. */
  #handle(process: SimulatedProcess, group: GroupName, n: number, tx: Tx): void {
    tx.prepare('INSERT INTO effects (grp, n) VALUES (?, ?)').run(group, n)
    const once = (plan: Map<string, number>): boolean => {
      const left = plan.get(`${group}/${n}`) ?? 0
      plan.set(`${group}/${n}`, left - 1)
      return left > 0
    }
    if (once(this.kills)) {
      process.die()
      throw new Error('killed by the message')
    }
    if (once(this.fails)) throw new Error('as planned')
  }

  #orderProgram(): ServiceProgram {
    return {
      name: 'order',
      consumes: [
        {
          types: [Reserved],
          handler:
            (process) =>
            ({ n }: { n: number }, { tx }) =>
              this.#handle(process, 'order', n, tx),
          options: { group: 'order', retry: RETRY },
        },
      ],
      checks: [
        {
          type: 'placed',
          answer: async ({ body }) => {
            const { n } = JSON.parse(new TextDecoder().decode(body)) as { n: number }
            const state = this.legacy.get(n)
            if (state === 'committed') return 'commit'
            if (state === 'failed') return 'rollback'
            if (this.ignorance === 'throws') throw new Error('the legacy system is down')
            return this.ignorance === 'odd' ? 'COMMIT' : 'unknown'
          },
        },
      ],
    }
  }

  #stockProgram(): ServiceProgram {
    return {
      name: 'stock',
      consumes: [
        {
          types: [Placed],
          handler:
            (process) =>
            async ({ n }: { n: number }, { tx, send, message: { key } }) => {
              this.#handle(process, 'stock', n, tx)
              await send(Reserved({ n }, key === undefined ? {} : { key }))
            },
          options: { group: 'stock', ordered: true, retry: RETRY },
        },
        {
          types: [Placed],
          handler:
            (process) =>
            ({ n }: { n: number }, { tx }) =>
              this.#handle(process, 'audit', n, tx),
          options: { group: 'audit', transactionSize: 3, concurrency: 2, retry: RETRY },
        },
      ],
      checks: [],
    }
  }
}
