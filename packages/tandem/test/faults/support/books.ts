import { join } from 'node:path'
import type { SqlRow, SqlValue } from './blocking-sql.ts'
import { rowsOfFile, type WorldDatabase } from './databases.ts'
import type { ServiceName } from './protocol.ts'

/** What the databases say, read with SQL that shares nothing with the library. */
export class Books {
  readonly #folder: string
  readonly #database: WorldDatabase

  /** @param folder where the broker's file is */
  constructor(folder: string, database: WorldDatabase) {
    this.#folder = folder
    this.#database = database
  }

  /** Rows; none if the tables are not there yet. */
  rows(file: ServiceName | 'broker', sql: string, ...params: SqlValue[]): readonly SqlRow[] {
    if (file === 'broker') return rowsOfFile(join(this.#folder, 'broker.db'), sql, params)
    return this.#database.rows(file, sql, params)
  }

  /** The one number that a statement gives. */
  count(file: ServiceName | 'broker', sql: string, ...params: SqlValue[]): number {
    const [row] = this.rows(file, sql, ...params)
    return row === undefined ? 0 : Number(Object.values(row)[0])
  }

  /** Ids of the orders whose local transaction has committed. */
  orders(): ReadonlySet<string> {
    return new Set(this.rows('order', 'SELECT order_id FROM orders').map((row) => String(row['order_id'])))
  }

  /** Orders as the stock service has handled them, in the order in which it did. */
  effects(): readonly {
    readonly order: string
    readonly id: string
    readonly key: string
    readonly attempt: number
  }[] {
    return this.rows('stock', 'SELECT order_id, message_id, message_key, attempt FROM effects ORDER BY seq').map(
      (row) => ({
        order: String(row['order_id']),
        id: String(row['message_id']),
        key: String(row['message_key']),
        attempt: Number(row['attempt']),
      }),
    )
  }

  /** How often each order was handled. */
  effectCounts(): ReadonlyMap<string, number> {
    return counts(this.effects().map(({ order }) => order))
  }

  /**
   * Keys whose orders were not handled in the order in which they were placed. For orders that were placed one transaction after another, with
   * consumers that keep the order.
   */
  overtaken(): readonly string[] {
    const last = new Map<string, number>()
    return this.effects().flatMap(({ order, key }) => {
      const [number, before = -1] = [Number(order.slice(1)), last.get(key)]
      last.set(key, Math.max(number, before))
      return number < before ? [`${order} came after o${before}, of ${key}`] : []
    })
  }

  confirmationCounts(): ReadonlyMap<string, number> {
    return counts(this.rows('order', 'SELECT order_id FROM confirmations').map((row) => String(row['order_id'])))
  }

  halves(): readonly { readonly id: string; readonly state: string; readonly answered: number }[] {
    return this.rows('order', 'SELECT id, state, answered FROM tandem_half ORDER BY seq').map((row) => ({
      id: String(row['id']),
      state: String(row['state']),
      answered: Number(row['answered']),
    }))
  }

  barriers(): ReadonlyMap<string, string> {
    const rows = this.rows('order', 'SELECT id, decision FROM tandem_barrier')
    return new Map(rows.map((row) => [String(row['id']), String(row['decision'])]))
  }

  /** Messages of the stock group that were not handled at the first attempt and are not settled. */
  failures(): readonly {
    readonly id: string
    readonly state: string
    readonly attempts: number
    readonly error: string
    readonly begun: boolean
  }[] {
    const sql = `SELECT message_id, state, attempts, coalesce(error, '') AS error, in_progress IS NOT NULL AS begun
      FROM tandem_inbox_failure ORDER BY seq`
    return this.rows('stock', sql).map((row) => ({
      id: String(row['message_id']),
      state: String(row['state']),
      attempts: Number(row['attempts']),
      error: String(row['error']),
      begun: Boolean(row['begun']),
    }))
  }

  held(): readonly { readonly id: string; readonly key: string; readonly state: string }[] {
    return this.rows('order', 'SELECT id, key, state FROM tandem_outbox_held ORDER BY seq').map((row) => ({
      id: String(row['id']),
      key: String(row['key']),
      state: String(row['state']),
    }))
  }

  outboxIds(service: ServiceName = 'order'): readonly string[] {
    return this.rows(service, 'SELECT id FROM tandem_outbox ORDER BY position').map((row) => String(row['id']))
  }

  /** Ids of the messages that the broker has of a topic, in its order; a copy counts again. */
  published(topic = 'orders.placed'): readonly string[] {
    const sql = `SELECT m.id FROM broker_message m JOIN broker_topic t ON t.id = m.topic WHERE t.name = ? ORDER BY m.sequence`
    return this.rows('broker', sql, topic).map((row) => String(row['id']))
  }

  /** Messages of a topic that the broker has and the group has not acked. */
  unacked(group: ServiceName, topic: string): readonly string[] {
    const sql = `SELECT m.id FROM broker_message m JOIN broker_topic t ON t.id = m.topic
      JOIN broker_position p ON p.topic = m.topic AND p.partition = m.partition
      WHERE t.name = ? AND p.group_name = ? AND m.sequence > p.position ORDER BY m.sequence`
    return this.rows('broker', sql, topic, group).map((row) => String(row['id']))
  }

  /** What can never heal: a delivery without its commit (P1), an effect that happened twice (P2). */
  wrong(): readonly string[] {
    // The consequence is read before its cause, which must then be there already.
    const confirmed = this.confirmationCounts()
    const effects = this.effectCounts()
    const orders = this.orders()
    return [
      ...[...effects].filter(([order]) => !orders.has(order)).map(([order]) => `${order} was delivered, not committed`),
      ...[...effects].filter(([, count]) => count > 1).map(([order, count]) => `${order} was handled ${count} times`),
      ...[...confirmed]
        .filter(([, count]) => count > 1)
        .map(([order, count]) => `${order} was confirmed ${count} times`),
      ...[...confirmed]
        .filter(([order]) => !effects.has(order))
        .map(([order]) => `${order} was confirmed, not handled`),
    ]
  }

  /** What is not finished: nothing of it may be left in the end (P3), but where a test says that it is. */
  unfinished(): readonly string[] {
    const orders = this.orders()
    const effects = this.effectCounts()
    const confirmed = this.confirmationCounts()
    return [
      ...[...orders].filter((order) => !effects.has(order)).map((order) => `${order} is committed, not handled`),
      ...[...effects.keys()].filter((order) => !confirmed.has(order)).map((order) => `${order} is not confirmed`),
      ...this.outboxIds('order').map((id) => `${id} is in the outbox of order`),
      ...this.outboxIds('stock').map((id) => `${id} is in the outbox of stock`),
      ...this.held().map(({ id, state }) => `${id} is held (${state})`),
      ...this.halves()
        .filter(({ state }) => state === 'prepared' || state === 'undecided')
        .map(({ id, state }) => `half message ${id} is ${state}`),
      ...this.failures().map(({ id, state }) => `${id} is ${state} in the inbox`),
    ]
  }
}

function counts(names: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const name of names) found.set(name, (found.get(name) ?? 0) + 1)
  return found
}
