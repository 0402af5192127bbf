import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { createTandem, message, type Draft, type Tandem } from 'tandem'
import type { NodeSqliteTransaction } from 'tandem/drivers/node-sqlite'
import { embedded } from 'tandem/embedded'

/** What the benches send: an order of the usual size. */
export interface Order {
  readonly orderId: string
  readonly sku: string
  readonly quantity: number
  readonly amount: number
  readonly account: string
}

export const OrderPlaced = message<Order>('orders.placed', { key: (order) => order.orderId })

export const SKUS = 100
/** Pieces of each article at the start. */
export const INITIAL_STOCK = 1_000_000_000

export type OrderTandem = Tandem<NodeSqliteTransaction>

export function orderOf(number: number): Order {
  return {
    orderId: `order-${number}`,
    sku: `sku-${number % SKUS}`,
    quantity: 1 + (number % 5),
    amount: 1999,
    account: `account-${number % 1000}`,
  }
}

/** A service in `folder` with its business tables, open and not started. */
export async function openService(service: string, folder: string): Promise<OrderTandem> {
  const tandem = createTandem({ service, ...embedded(folder) })
  await tandem.transaction((tx) => {
    tx.exec(`
      CREATE TABLE IF NOT EXISTS orders (
        id TEXT PRIMARY KEY, sku TEXT NOT NULL, quantity INTEGER NOT NULL, amount INTEGER NOT NULL, account TEXT NOT NULL
      ) STRICT;
      CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL) STRICT`)
    const insert = tx.prepare('INSERT INTO stock (sku, on_hand) VALUES (?, ?) ON CONFLICT (sku) DO NOTHING')
    for (let i = 0; i < SKUS; i++) insert.run(`sku-${i}`, INITIAL_STOCK)
  })
  return tandem
}

/** The business transaction: writes one order and sends what `drafts` says about it. */
export async function placeOrder(
  tandem: OrderTandem,
  order: Order,
  drafts?: (order: Order) => Draft | readonly Draft[],
): Promise<void> {
  await tandem.transaction(async (tx) => {
    insertOrder(tx, order)
    if (drafts !== undefined) await tandem.send(tx, drafts(order))
  })
}

export function insertOrder(tx: NodeSqliteTransaction, { orderId, sku, quantity, amount, account }: Order): void {
  const sql = 'INSERT INTO orders (id, sku, quantity, amount, account) VALUES (?, ?, ?, ?, ?)'
  tx.prepare(sql).run(orderId, sku, quantity, amount, account)
}

/** The effect of an order: one UPDATE. */
export function takeFromStock(tx: NodeSqliteTransaction, { sku, quantity }: Order): void {
  tx.prepare('UPDATE stock SET on_hand = on_hand - ? WHERE sku = ?').run(quantity, sku)
}

/** One number from a service's database, read past Tandem. */
export function readNumber(folder: string, service: string, sql: string): number {
  const db = new DatabaseSync(join(folder, `${service}.db`), { readOnly: true })
  try {
    return Number(Object.values(db.prepare(sql).get() ?? {})[0])
  } finally {
    db.close()
  }
}
