import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { SERVICES, type ServiceName } from './protocol.ts'

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
}

const NOTHING: Reading = { placed: 0, completed: 0, cancelled: 0, dead: 0, retrying: 0, unsent: 0, undecided: 0 }

/** Reads from the services' files how far things are. Looks only: no service notices. */
export class Gauges {
  readonly #folder: string
  readonly #open = new Map<string, DatabaseSync>()
  #last = NOTHING

  constructor(folder: string) {
    this.#folder = folder
  }

  /** What it was last, if a file cannot be read just now. */
  read(): Reading {
    try {
      const sum = (ask: (service: ServiceName) => number): number =>
        SERVICES.map(ask).reduce((total, count) => total + count, 0)
      const states = new Map(this.#rows('order', 'SELECT state, count(*) AS count FROM orders GROUP BY state'))
      const failures = SERVICES.flatMap((service) =>
        this.#rows(service, 'SELECT state, count(*) AS count FROM tandem_inbox_failure GROUP BY state'),
      )
      const dead = failures.filter(([state]) => state === 'dead').reduce((total, [, count]) => total + count, 0)
      this.#last = {
        placed: [...states.values()].reduce((total, count) => total + count, 0),
        completed: states.get('completed') ?? 0,
        cancelled: states.get('cancelled') ?? 0,
        dead,
        retrying: failures.reduce((total, [, count]) => total + count, 0) - dead,
        unsent: sum((service) => this.#count(service, 'tandem_outbox') + this.#count(service, 'tandem_outbox_held')),
        undecided: this.#count('order', `tandem_half WHERE state IN ('prepared', 'undecided')`),
      }
    } catch {
      // A file that is not there yet, or that a process which was just started is repairing after a kill.
    }
    return this.#last
  }

  /** The states of some orders. */
  statesOf(ids: Iterable<string>): ReadonlyMap<string, string> {
    try {
      const wanted = JSON.stringify([...ids])
      const find = this.#database('order').prepare(
        'SELECT id, state FROM orders WHERE id IN (SELECT value FROM json_each(?))',
      )
      return new Map(find.all(wanted).map((row) => [String(row['id']), String(row['state'])]))
    } catch {
      return new Map()
    }
  }

  /** The states of the half messages that an order was placed with. */
  halfStatesOf(orderId: string): readonly string[] {
    try {
      const rows = this.#database('order').prepare('SELECT state FROM tandem_half WHERE key = ?').all(orderId)
      return rows.map(({ state }) => String(state))
    } catch {
      return []
    }
  }

  /** Whether every consumer group has had every message of the queue. */
  queueIsEmpty(): boolean {
    try {
      const behind = `SELECT 1 FROM broker_position p WHERE position < (
        SELECT max(sequence) FROM broker_message m WHERE m.topic = p.topic AND m.partition = p.partition) LIMIT 1`
      return this.#database('broker').prepare(behind).get() === undefined
    } catch {
      return false
    }
  }

  close(): void {
    for (const database of this.#open.values()) database.close()
    this.#open.clear()
  }

  #count(service: ServiceName, what: string): number {
    return Number(this.#database(service).prepare(`SELECT count(*) AS count FROM ${what}`).get()?.['count'])
  }

  #rows(service: ServiceName, sql: string): [string, number][] {
    const rows = this.#database(service).prepare(sql).all()
    return rows.map(({ state, count }) => [String(state), Number(count)])
  }

  #database(name: string): DatabaseSync {
    let database = this.#open.get(name)
    if (database === undefined) {
      database = new DatabaseSync(join(this.#folder, `${name}.db`), { readOnly: true })
      this.#open.set(name, database)
    }
    return database
  }
}
