/** The payment service on PostgreSQL, through the package `pg`: charges the customer's account, and pays back when the order is cancelled. */
import { Pool, type PoolClient } from 'pg'
import { createTandem, type Tandem } from 'tandem'
import { pg } from 'tandem/drivers/pg'
import { postgres } from 'tandem/stores/postgres'
import { OrderCancelled, PaymentCharged, PaymentDeclined, StockReserved } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS accounts (
    id text PRIMARY KEY,
    initial integer NOT NULL,
    balance integer NOT NULL CHECK (balance >= 0)
  );
  -- An order could have two rows here: nothing but Tandem's inbox prevents it, and the books would show it.
  CREATE TABLE IF NOT EXISTS payments (
    order_id text NOT NULL,
    account text NOT NULL,
    amount integer NOT NULL,
    state text NOT NULL CHECK (state IN ('charged', 'refunded', 'declined'))
  );
  CREATE INDEX IF NOT EXISTS payments_order ON payments (order_id)`

export async function startPayment(url: string, settings: Settings): Promise<Tandem<PoolClient>> {
  const pool = new Pool({ connectionString: url })
  const tandem = createTandem({ service: 'payment', store: postgres(pg(pool), { migrate: true }), ...settings })
  await tandem.transaction((tx) => tx.query(TABLES))

  tandem.consume(StockReserved, async ({ orderId, amount, account }, { tx, send }) => {
    const find = await tx.query<{ balance: number }>('SELECT balance FROM accounts WHERE id = $1 FOR UPDATE', [account])
    const owner = find.rows[0]
    if (owner === undefined) throw new Error(`there is no account ${account}`)

    const enough = owner.balance >= amount
    await tx.query('INSERT INTO payments (order_id, account, amount, state) VALUES ($1, $2, $3, $4)', [
      orderId,
      account,
      amount,
      enough ? 'charged' : 'declined',
    ])
    if (!enough) return send(PaymentDeclined({ orderId, reason: 'not enough money in the account' }))

    await tx.query('UPDATE accounts SET balance = balance - $1 WHERE id = $2', [amount, account])
    return send(PaymentCharged({ orderId }))
  })

  tandem.consume(OrderCancelled, async ({ orderId }, { tx }) => {
    const refunded = await tx.query<{ account: string; amount: number }>(
      `UPDATE payments SET state = 'refunded' WHERE order_id = $1 AND state = 'charged' RETURNING account, amount`,
      [orderId],
    )
    const payment = refunded.rows[0]
    if (payment === undefined) return // it was declined, or it never came this far
    await tx.query('UPDATE accounts SET balance = balance + $1 WHERE id = $2', [payment.amount, payment.account])
  })

  await tandem.start()
  return tandem
}

/** Opens an account with some money in it. May be called again. */
export async function openAccount(tandem: Tandem<PoolClient>, id: string, balance: number): Promise<void> {
  await tandem.transaction((tx) =>
    tx.query('INSERT INTO accounts (id, initial, balance) VALUES ($1, $2, $2) ON CONFLICT DO NOTHING', [id, balance]),
  )
}
