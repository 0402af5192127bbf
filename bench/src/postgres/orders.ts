import type pg from 'pg'
import { createTandem, message, type Draft, type Tandem } from 'tandem'
import { pg as pgDriver, type PgTransaction } from 'tandem/drivers/pg'
import type { Broker, Store } from 'tandem/spi'
import { postgres } from 'tandem/stores/postgres'
import type { Database } from './server.ts'

/** What the benches send: an order of the usual size. */
export interface Order {
  readonly orderId: string
  readonly sku: string
  readonly quantity: number
  readonly amount: number
  readonly account: string
}

/** Its key is the row that handling it changes, so that batches lock these rows in one order. */
export const OrderPlaced = message<Order>('orders.placed', { key: (order) => order.sku })

export type OrderTransaction = PgTransaction<pg.Pool>
export type OrderTandem = Tandem<OrderTransaction>

/** So many that two transactions seldom meet at a row. */
const SKUS = 10_000
/** Pieces of each article at the start. */
const INITIAL_STOCK = 1_000_000_000

const TABLES = `
  CREATE TABLE orders (
    id text PRIMARY KEY, sku text NOT NULL, quantity int NOT NULL, amount int NOT NULL, account text NOT NULL
  );
  CREATE TABLE account (id text PRIMARY KEY, balance bigint NOT NULL);
  INSERT INTO account SELECT 'account-' || n, 0 FROM generate_series(0, 999) n;
  CREATE TABLE stock (sku text PRIMARY KEY, on_hand bigint NOT NULL);
  INSERT INTO stock SELECT 'sku-' || n, ${INITIAL_STOCK} FROM generate_series(0, ${SKUS - 1}) n;
  VACUUM ANALYZE stock;
  VACUUM ANALYZE account`

/** Makes the business tables. */
export async function createTables(...databases: readonly Database[]): Promise<void> {
  for (const database of databases) {
    for (const statement of TABLES.split(';')) await database.query(statement)
  }
}

/** @param hot all orders are for one article */
export function orderOf(number: number, hot = false): Order {
  return {
    orderId: `order-${number}`,
    // A prime, so that neighbours in time are no neighbours in the table.
    sku: `sku-${hot ? 0 : (number * 7919) % SKUS}`,
    quantity: 1 + (number % 5),
    amount: 1999,
    account: `account-${number % 1000}`,
  }
}

/** What runs a statement: a client, or a pool for a transaction of its own. */
interface Client {
  query(statement: { readonly name: string; readonly text: string; readonly values: unknown[] }): Promise<unknown>
}

export async function insertOrder(client: Client, order: Order): Promise<void> {
  const { orderId, sku, quantity, amount, account } = order
  await client.query({
    name: 'insert_order',
    text: 'INSERT INTO orders (id, sku, quantity, amount, account) VALUES ($1, $2, $3, $4, $5)',
    values: [orderId, sku, quantity, amount, account],
  })
}

/** What a service does with an order: looks whether the account is good for it, writes it, and books it. */
export async function bookOrder(client: Client, order: Order): Promise<void> {
  const { account, amount } = order
  await client.query({ name: 'read_account', text: 'SELECT balance FROM account WHERE id = $1', values: [account] })
  await insertOrder(client, order)
  await client.query({
    name: 'book_order',
    text: 'UPDATE account SET balance = balance - $2 WHERE id = $1',
    values: [account, amount],
  })
}

/** The effect of an order: one UPDATE. */
export const TAKE_FROM_STOCK = 'UPDATE stock SET on_hand = on_hand - $1 WHERE sku = $2'

export async function takeFromStock(client: Client, { sku, quantity }: Order): Promise<void> {
  await client.query({ name: 'take_from_stock', text: TAKE_FROM_STOCK, values: [quantity, sku] })
}

/** Pieces that are missing from the stock of a database. */
async function taken(database: Database): Promise<number> {
  const [row] = await database.query(`SELECT (count(*) * ${INITIAL_STOCK} - sum(on_hand))::float8 AS taken FROM stock`)
  return Number(row?.['taken'])
}

/** @throws when the effects on the stock are not those of the orders with numbers below this one, each once */
export async function checkStock(database: Database, orders: number): Promise<void> {
  let ordered = 0
  for (let number = 0; number < orders; number++) ordered += orderOf(number).quantity
  const gone = await taken(database)
  if (gone !== ordered) throw new Error(`the books do not balance: ${ordered} pieces were ordered and ${gone} taken`)
}

/** The transaction that a service has already: on a client of its pool, begun and ended by itself. */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

/** Places an order with Tandem: the order and what `drafts` says about it, in one transaction. */
export async function placeOrder(
  tandem: OrderTandem,
  order: Order,
  drafts: (order: Order) => Draft | readonly Draft[] = OrderPlaced,
): Promise<void> {
  await tandem.transaction(async (tx) => {
    await insertOrder(tx, order)
    await tandem.send(tx, drafts(order))
  })
}

/** Tandem on a pool; makes its tables where they are missing. */
export function tandemOn(service: string, pool: pg.Pool, broker: Broker): OrderTandem {
  return createTandem({ service, store: storeOn(pool), broker })
}

export function storeOn(pool: pg.Pool): Store<OrderTransaction> {
  // Prepared statements, as the raw SQL and the peers have them here: nothing shares the connections.
  return postgres(pgDriver(pool, { prepare: true }), { migrate: true })
}
