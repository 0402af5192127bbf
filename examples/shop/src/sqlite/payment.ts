/** The payment service: charges the customer's account, and pays back when the order is cancelled. Its file is `payment.db`. */
import { createTandem, type Tandem } from 'tandem'
import type { NodeSqliteTransaction as Tx } from 'tandem/drivers/node-sqlite'
import { embedded } from 'tandem/embedded'
import { OrderCancelled, PaymentCharged, PaymentDeclined, StockReserved } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY,
    initial INTEGER NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0)
  ) STRICT;
  -- An order could have two rows here: nothing but Tandem's inbox prevents it, and the books would show it.
  CREATE TABLE IF NOT EXISTS payments (
    order_id TEXT NOT NULL,
    account TEXT NOT NULL,
    amount INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('charged', 'refunded', 'declined'))
  ) STRICT;
  CREATE INDEX IF NOT EXISTS payments_order ON payments (order_id)`

export async function startPayment(folder: string, settings: Settings): Promise<Tandem<Tx>> {
  const tandem = createTandem({ service: 'payment', store: embedded(folder).store, ...settings })
  await tandem.transaction((tx) => tx.exec(TABLES))

  tandem.consume(StockReserved, async ({ orderId, amount, account }, { tx, send }) => {
    const owner = tx.prepare('SELECT balance FROM accounts WHERE id = ?').get(account)
    if (owner === undefined) throw new Error(`there is no account ${account}`)

    const enough = Number(owner['balance']) >= amount
    const record = tx.prepare('INSERT INTO payments (order_id, account, amount, state) VALUES (?, ?, ?, ?)')
    record.run(orderId, account, amount, enough ? 'charged' : 'declined')
    if (!enough) return send(PaymentDeclined({ orderId, reason: 'not enough money in the account' }))

    tx.prepare('UPDATE accounts SET balance = balance - ? WHERE id = ?').run(amount, account)
    return send(PaymentCharged({ orderId }))
  })

  tandem.consume(OrderCancelled, ({ orderId }, { tx }) => {
    const find = tx.prepare(`SELECT account, amount FROM payments WHERE order_id = ? AND state = 'charged'`)
    const payment = find.get(orderId)
    if (payment === undefined) return // it was declined, or it never came this far
    const { account, amount } = payment as { account: string; amount: number }
    tx.prepare(`UPDATE payments SET state = 'refunded' WHERE order_id = ?`).run(orderId)
    tx.prepare('UPDATE accounts SET balance = balance + ? WHERE id = ?').run(amount, account)
  })

  await tandem.start()
  return tandem
}

/** Opens an account with some money in it. May be called again. */
export async function openAccount(tandem: Tandem<Tx>, id: string, balance: number): Promise<void> {
  await tandem.transaction((tx) => {
    tx.prepare('INSERT INTO accounts (id, initial, balance) VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(
      id,
      balance,
      balance,
    )
  })
}
