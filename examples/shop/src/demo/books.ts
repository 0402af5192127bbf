/**
 * The books: whether orders, stock and money agree at the end. Plain SQL on what the databases have, read-only and not through Tandem, so
 * that a fault of Tandem's shows.
 */
import type { SQLOutputValue } from 'node:sqlite'
import { SERVICES, type ServiceName } from '../services.ts'
import { copyDatabases } from './copies.ts'
import type { ServiceDatabase } from './databases/database.ts'

export interface BookLine {
  readonly name: string
  /** What it says when all is well, with its figures. */
  readonly text: string
  /** What is off: the id it is about, and why. None: all is well. */
  readonly off: readonly { readonly id: string; readonly why: string }[]
}

interface Check {
  readonly name: string
  readonly text: string
  /** One row with the figures that stand as {name} in the text. */
  readonly figures: string
  /** Selects what is off, as `id` and `why`. */
  readonly off: string
}

/** The same SELECT on the tables of every service. */
function everywhere(select: (service: ServiceName) => string): string {
  return SERVICES.map((service) => select(service)).join(' UNION ALL ')
}

const CHECKS: readonly Check[] = [
  {
    name: 'orders',
    text: '{placed} placed = {completed} completed + {cancelled} cancelled; none is unfinished',
    figures: `SELECT count(*) AS placed, count(*) FILTER (WHERE state = 'completed') AS completed,
      count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM "order".orders`,
    off: `SELECT id, 'is still ' || state AS why FROM "order".orders WHERE state NOT IN ('completed', 'cancelled')
      UNION ALL SELECT value, 'was placed, and is not there' FROM json_each(:expected)
        WHERE value NOT IN (SELECT id FROM "order".orders)`,
  },
  {
    name: 'stock',
    text: '{initial} pieces at first = {on_hand} on hand + {reserved} reserved',
    figures: `SELECT (SELECT sum(initial) FROM stock.stock) AS initial, (SELECT sum(on_hand) FROM stock.stock) AS on_hand,
      (SELECT coalesce(sum(quantity), 0) FROM stock.reservations WHERE state = 'reserved') AS reserved`,
    off: `SELECT sku AS id, initial || ' at first, but ' || on_hand || ' on hand + ' || reserved || ' reserved' AS why
      FROM (SELECT s.sku, s.initial, s.on_hand, coalesce(sum(r.quantity), 0) AS reserved FROM stock.stock s
        LEFT JOIN stock.reservations r ON r.sku = s.sku AND r.state = 'reserved' GROUP BY s.sku)
      WHERE initial <> on_hand + reserved`,
  },
  {
    name: 'money',
    text: '{initial:money} at first = {balance:money} in the accounts + {charged:money} charged',
    figures: `SELECT (SELECT sum(initial) FROM payment.accounts) AS initial, (SELECT sum(balance) FROM payment.accounts) AS balance,
      (SELECT coalesce(sum(amount), 0) FROM payment.payments WHERE state = 'charged') AS charged`,
    off: `SELECT id, initial || ' cents at first, but ' || balance || ' left + ' || charged || ' charged' AS why
      FROM (SELECT a.id, a.initial, a.balance, coalesce(sum(p.amount), 0) AS charged FROM payment.accounts a
        LEFT JOIN payment.payments p ON p.account = a.id AND p.state = 'charged' GROUP BY a.id)
      WHERE initial <> balance + charged`,
  },
  {
    name: 'completed',
    text: 'every completed order has exactly one reservation and one payment, of its size',
    figures: 'SELECT 1',
    off: `SELECT id, 'is completed with ' || reservations || ' reservations and ' || payments || ' payments of its size' AS why
      FROM (SELECT o.id,
          (SELECT count(*) FROM stock.reservations r WHERE r.order_id = o.id AND r.state = 'reserved'
            AND r.sku = o.sku AND r.quantity = o.quantity) AS reservations,
          (SELECT count(*) FROM stock.reservations r WHERE r.order_id = o.id) AS all_reservations,
          (SELECT count(*) FROM payment.payments p WHERE p.order_id = o.id AND p.state = 'charged'
            AND p.account = o.account AND p.amount = o.amount) AS payments,
          (SELECT count(*) FROM payment.payments p WHERE p.order_id = o.id) AS all_payments
        FROM "order".orders o WHERE o.state = 'completed')
      WHERE reservations <> 1 OR payments <> 1 OR all_reservations <> 1 OR all_payments <> 1`,
  },
  {
    name: 'cancelled',
    text: 'no cancelled order holds anything: {released} reservations released, {refunded} payments refunded',
    figures: `SELECT (SELECT count(*) FROM stock.reservations WHERE state = 'released') AS released,
      (SELECT count(*) FROM payment.payments WHERE state = 'refunded') AS refunded`,
    off: `SELECT r.order_id AS id, 'has pieces reserved, and is ' || coalesce(o.state, 'no order at all') AS why
        FROM stock.reservations r LEFT JOIN "order".orders o ON o.id = r.order_id
        WHERE r.state = 'reserved' AND coalesce(o.state, '') IN ('cancelled', '')
      UNION ALL SELECT p.order_id, 'is charged, and is ' || coalesce(o.state, 'no order at all')
        FROM payment.payments p LEFT JOIN "order".orders o ON o.id = p.order_id
        WHERE p.state = 'charged' AND coalesce(o.state, '') IN ('cancelled', '')`,
  },
  {
    name: 'once',
    text: '{messages} messages were handled, none of them twice',
    figures: `SELECT sum(messages) AS messages FROM (${everywhere((service) => `SELECT count(*) AS messages FROM "${service}".inbox`)})`,
    // The business tables first: they have no unique constraint that would hide a second time.
    off: `SELECT order_id AS id, 'has ' || count(*) || ' reservations' AS why FROM stock.reservations
        GROUP BY order_id HAVING count(*) > 1
      UNION ALL SELECT order_id, 'has ' || count(*) || ' payments' FROM payment.payments GROUP BY order_id HAVING count(*) > 1
      UNION ALL ${everywhere(
        (service) => `SELECT key, service || ' had ' || times || ' messages ' || type || ' of it'
          FROM (SELECT key, type, '${service}' AS service, count(*) AS times FROM "${service}".inbox GROUP BY key, type)
          WHERE times > 1`,
      )}`,
  },
  {
    name: 'dead letters',
    text: 'none is left, and no message waits for another attempt',
    figures: 'SELECT 1',
    off: everywhere(
      (service) => `SELECT coalesce(key, message_id) AS id, '${service}: ' || type || ' is ' || state
        || coalesce(': ' || error, '') AS why FROM "${service}".inbox_failure`,
    ),
  },
  {
    name: 'outboxes',
    text: 'empty: everything that was sent is in the queue',
    figures: 'SELECT 1',
    off: everywhere(
      (
        service,
      ) => `SELECT coalesce(key, id) AS id, '${service}: ' || type || ' is unsent' AS why FROM "${service}".outbox
        UNION ALL SELECT coalesce(key, id), '${service}: ' || type || ' is ' || state FROM "${service}".outbox_held`,
    ),
  },
  {
    name: 'half messages',
    text: '{committed} committed, {rolled_back} rolled back; none is prepared or undecided',
    figures: `SELECT count(*) FILTER (WHERE state = 'committed') AS committed,
      count(*) FILTER (WHERE state = 'rolled-back') AS rolled_back FROM "order".half`,
    off: `SELECT coalesce(key, id) AS id, type || ' is ' || state AS why FROM "order".half
      WHERE state NOT IN ('committed', 'rolled-back')`,
  },
  {
    name: 'queue',
    text: 'every service has had every message that is for it ({deliveries} in the queue, copies included)',
    figures: 'SELECT count(*) AS deliveries FROM queue.broker_message',
    off: `SELECT p.group_name AS id, 'has not had ' || count(*) || ' messages ' || t.name AS why
      FROM queue.broker_position p JOIN queue.broker_topic t ON t.id = p.topic
      JOIN queue.broker_message m ON m.topic = p.topic AND m.partition = p.partition AND m.sequence > p.position
      GROUP BY p.group_name, t.name`,
  },
]

/** @param expected ids of the orders that customers were told are placed */
export async function checkBooks(
  databases: Readonly<Record<ServiceName, ServiceDatabase>>,
  folder: string,
  expected: readonly string[],
): Promise<readonly BookLine[]> {
  const copies = await copyDatabases(databases, folder)
  try {
    return CHECKS.map(({ name, text, figures, off }) => {
      const statement = copies.prepare(off)
      const rows = off.includes(':expected') ? statement.all({ expected: JSON.stringify(expected) }) : statement.all()
      return {
        name,
        text: fill(text, copies.prepare(figures).get() ?? {}),
        off: rows.map((row) => ({ id: String(row['id']), why: String(row['why']) })),
      }
    })
  } finally {
    copies.close()
  }
}

/** Puts figures in the place of {name}; {name:money} is of cents. */
function fill(text: string, figures: Record<string, SQLOutputValue>): string {
  return text.replace(/\{(\w+)(:money)?\}/g, (_, name: string, money?: string) => {
    const value = Number(figures[name] ?? 0)
    return money === undefined
      ? value.toLocaleString('en')
      : (value / 100).toLocaleString('en', { minimumFractionDigits: 2 })
  })
}
