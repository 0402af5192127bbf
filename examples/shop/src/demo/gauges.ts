import { join } from 'node:path'
import { SERVICES, type ServiceName } from '../services.ts'
import type { ServiceDatabase } from './databases/database.ts'
import { SqliteFile } from './databases/sqlite.ts'

export interface Reading {
  readonly placed: number
  readonly completed: number
  readonly cancelled: number
  /** Messages that wait for a person. */
  readonly dead: number
  /** Messages that failed, and wait for their next attempt or behind such a one. */
  readonly retrying: number
  /** Messages that are not in the queue yet. */
  readonly unsent: number
  /** Half messages that are not decided. */
  readonly undecided: number
  /** Whether every consumer group has had every message of the queue. */
  readonly queueIsEmpty: boolean
}

const NOTHING: Reading = {
  placed: 0,
  completed: 0,
  cancelled: 0,
  dead: 0,
  retrying: 0,
  unsent: 0,
  undecided: 0,
  queueIsEmpty: false,
}

const BEHIND = `SELECT 1 AS behind FROM broker_position p WHERE position < (
  SELECT max(sequence) FROM broker_message m WHERE m.topic = p.topic AND m.partition = p.partition) LIMIT 1`

/** Reads from the services' databases how far things are. Looks only: no service notices. */
export class Gauges {
  readonly #databases: Readonly<Record<ServiceName, ServiceDatabase>>
  readonly #queue: SqliteFile
  #last = NOTHING

  constructor(databases: Readonly<Record<ServiceName, ServiceDatabase>>, folder: string) {
    this.#databases = databases
    this.#queue = new SqliteFile(join(folder, 'broker.db'))
  }

  /** What it was when it could be read last. */
  get last(): Reading {
    return this.#last
  }

  /** @returns false if a database cannot be read just now: it is not there yet, or a kill is being repaired */
  async read(): Promise<boolean> {
    try {
      // The way that a message takes, so that none can pass by unseen.
      const states = await this.#states('order', 'orders')
      const unsent = await this.#sum(['outbox', 'outbox_held'])
      const undecided = await this.#undecided()
      const queueIsEmpty = this.#queue.read(BEHIND).length === 0
      const failures = await Promise.all(SERVICES.map((service) => this.#failures(service)))
      const dead = failures.reduce((sum, counts) => sum + (counts.get('dead') ?? 0), 0)
      this.#last = {
        placed: total(states),
        completed: states.get('completed') ?? 0,
        cancelled: states.get('cancelled') ?? 0,
        dead,
        retrying: failures.reduce((sum, counts) => sum + total(counts), 0) - dead,
        unsent,
        undecided,
        queueIsEmpty,
      }
      return true
    } catch {
      return false
    }
  }

  /** The states of some orders. */
  async statesOf(ids: Iterable<string>): Promise<ReadonlyMap<string, string>> {
    const list = [...ids].map((id) => literal(id)).join(', ')
    if (list === '') return new Map()
    const rows = await this.#read('order', `SELECT id, state FROM orders WHERE id IN (${list})`)
    return new Map(rows.map((row) => [String(row['id']), String(row['state'])]))
  }

  /** The states of the half messages that an order was placed with. */
  async halfStatesOf(orderId: string): Promise<readonly string[]> {
    const { table, quote } = this.#databases.order
    const rows = await this.#read(
      'order',
      `SELECT state FROM ${table('half')} WHERE ${quote('key')} = ${literal(orderId)}`,
    )
    return rows.map(({ state }) => String(state))
  }

  close(): void {
    this.#queue.close()
  }

  async #read(service: ServiceName, sql: string) {
    return this.#databases[service].read(sql).catch(() => [])
  }

  #failures(service: ServiceName): Promise<ReadonlyMap<string, number>> {
    return this.#states(service, this.#databases[service].table('inbox_failure'))
  }

  /** How many rows are in each state. */
  async #states(service: ServiceName, table: string): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#databases[service].read(`SELECT state, count(*) AS n FROM ${table} GROUP BY state`)
    return new Map(rows.map(({ state, n }) => [String(state), Number(n)]))
  }

  /** How many rows the tables have in all services. */
  async #sum(tables: readonly string[]): Promise<number> {
    const counts = SERVICES.flatMap((service) => {
      const database = this.#databases[service]
      return tables.map(async (name) => {
        const [row] = await database.read(`SELECT count(*) AS n FROM ${database.table(name)}`)
        return Number(row?.['n'])
      })
    })
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }

  async #undecided(): Promise<number> {
    const states = await this.#states('order', this.#databases.order.table('half'))
    return (states.get('prepared') ?? 0) + (states.get('undecided') ?? 0)
  }
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}

/** All databases read it the same way: the ids of the orders have neither quotes nor backslashes. */
function literal(id: string): string {
  return `'${id}'`
}
