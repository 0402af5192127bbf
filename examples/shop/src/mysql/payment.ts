/** The payment service on MariaDB or MySQL, through the package `mysql2`: charges the customer's account, and pays back when the order is cancelled. */
import { createPool, type PoolConnection, type RowDataPacket } from 'mysql2/promise'
import { createTandem, type Tandem } from 'tandem'
import { mysql2 } from 'tandem/drivers/mysql2'
import { mysql } from 'tandem/stores/mysql'
import { OrderCancelled, PaymentCharged, PaymentDeclined, StockReserved } from '../messages.ts'
import type { Settings } from '../settings.ts'

const TABLES = [
  `CREATE TABLE IF NOT EXISTS accounts (
    id varchar(100) PRIMARY KEY,
    initial integer NOT NULL,
    balance integer NOT NULL CHECK (balance >= 0)
  )`,
  // An order could have two rows here: nothing but Tandem's inbox prevents it, and the books would show it.
  `CREATE TABLE IF NOT EXISTS payments (
    order_id varchar(100) NOT NULL,
    account varchar(100) NOT NULL,
    amount integer NOT NULL,
    state varchar(20) NOT NULL CHECK (state IN ('charged', 'refunded', 'declined')),
    INDEX payments_order (order_id)
  )`,
]

export async function startPayment(url: string, settings: Settings): Promise<Tandem<PoolConnection>> {
  const pool = createPool(url)
  const tandem = createTandem({ service: 'payment', store: mysql(mysql2(pool), { migrate: true }), ...settings })
  for (const table of TABLES) await pool.query(table)

  tandem.consume(StockReserved, async ({ orderId, amount, account }, { tx, send }) => {
    const [[owner]] = await tx.execute<(RowDataPacket & { balance: number })[]>(
      'SELECT balance FROM accounts WHERE id = ? FOR UPDATE',
      [account],
    )
    if (owner === undefined) throw new Error(`there is no account ${account}`)

    const enough = owner.balance >= amount
    await tx.execute('INSERT INTO payments (order_id, account, amount, state) VALUES (?, ?, ?, ?)', [
      orderId,
      account,
      amount,
      enough ? 'charged' : 'declined',
    ])
    if (!enough) return send(PaymentDeclined({ orderId, reason: 'not enough money in the account' }))

    await tx.execute('UPDATE accounts SET balance = balance - ? WHERE id = ?', [amount, account])
    return send(PaymentCharged({ orderId }))
  })

  tandem.consume(OrderCancelled, async ({ orderId }, { tx }) => {
    const [[payment]] = await tx.execute<(RowDataPacket & { account: string; amount: number })[]>(
      `SELECT account, amount FROM payments WHERE order_id = ? AND state = 'charged'`,
      [orderId],
    )
    if (payment === undefined) return // it was declined, or it never came this far
    const { account, amount } = payment
    await tx.execute(`UPDATE payments SET state = 'refunded' WHERE order_id = ?`, [orderId])
    await tx.execute('UPDATE accounts SET balance = balance + ? WHERE id = ?', [amount, account])
  })

  await tandem.start()
  return tandem
}

/** Opens an account with some money in it. May be called again. */
export async function openAccount(tandem: Tandem<PoolConnection>, id: string, balance: number): Promise<void> {
  await tandem.transaction((tx) =>
    tx.execute('INSERT IGNORE INTO accounts (id, initial, balance) VALUES (?, ?, ?)', [id, balance, balance]),
  )
}
