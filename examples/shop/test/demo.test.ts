import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkBooks, type BookLine } from '../src/demo/books.ts'
import { openSqlite } from '../src/demo/databases/sqlite.ts'
import { runDemo } from './run-demo.ts'

const folder = mkdtempSync(join(tmpdir(), 'tandem-shop-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the demo', () => {
  it.each([1, 2])('ends with balanced books whatever goes wrong (seed %i)', async (seed) => {
    const { code, output } = await runDemo('--orders', '40', '--faults', 'all', '--seed', String(seed))

    expect(output).toContain('The books balance.')
    expect(output).toContain('killed with SIGKILL between its local transaction and the commit of the half message')
    expect(output).toContain('replayed 3 dead letters')
    expect(code).toBe(0)
  })

  it.each([
    [['--orders', '0'], '--orders 0: must be a whole number from 1'],
    [['--seed', 'x'], '--seed x: must be a whole number from 0'],
    [['--faults', 'some'], '--faults some: say none, kill, all'],
    [['--database', 'oracle'], '--database oracle: say sqlite, postgres, mysql, mixed'],
    [['--postgres', 'postgres://h'], '--postgres: no service is on such a database with --database sqlite'],
    [['--database', 'postgres', '--postgres', 'mysql://h'], '--postgres: must be a connection string'],
    [['--order', '5'], "Unknown option '--order'"],
    [['5'], "Unexpected argument '5'"],
    [['--data', fileURLToPath(new URL('.', import.meta.url))], 'is not empty'],
    [['--data', fileURLToPath(import.meta.url)], 'is not a folder'],
  ])('refuses %j', async (args, why) => {
    const { code, output } = await runDemo(...args)

    expect(output).toContain(why)
    expect(output).toContain('npm run demo')
    expect(code).toBe(2)
  })

  it('leaves nothing behind unless it is told to', async () => {
    const [missing, empty] = [join(folder, 'missing'), join(folder, 'empty')]
    mkdirSync(empty)
    const runs = await Promise.all(
      [missing, empty].map((data) => runDemo('--orders', '5', '--faults', 'none', '--data', data)),
    )

    expect(runs.map(({ code }) => code)).toEqual([0, 0])
    expect(existsSync(missing)).toBe(false)
    expect(readdirSync(empty)).toEqual([])
  })
})

describe('the books', () => {
  const data = join(folder, 'kept')
  const expected = Array.from({ length: 20 }, (_, i) => `order-${String(i + 1).padStart(4, '0')}`)

  beforeAll(async () => {
    const { code, output } = await runDemo(
      '--orders',
      '20',
      '--faults',
      'none',
      '--seed',
      '7',
      '--data',
      data,
      '--keep',
    )
    expect(output).toContain(`sqlite3 ${join(data, 'order.db')}`)
    expect(code).toBe(0)
    expect(existsSync(join(data, 'compile-cache'))).toBe(false)
  })

  /** The lines of the books on which something is off. */
  async function linesOff(): Promise<readonly BookLine[]> {
    const [order, stock, payment] = ['order', 'stock', 'payment'].map((service) => openSqlite(service, data))
    const databases = { order: order!, stock: stock!, payment: payment! }
    try {
      return (await checkBooks(databases, data, expected)).filter(({ off }) => off.length > 0)
    } finally {
      await Promise.all(Object.values(databases).map((database) => database.close()))
    }
  }

  /** What the books say is off while the databases are tampered with; restored afterwards. */
  async function offAfter(service: string, ...statements: string[]): Promise<Record<string, string[]>> {
    const database = new DatabaseSync(join(data, `${service}.db`))
    // The books look in from outside, so this has to be committed; and then undone from a copy of the tables.
    const tables = database
      .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
      .all()
      .map(({ name }) => String(name))
    for (const table of tables) database.exec(`CREATE TEMP TABLE saved_${table} AS SELECT * FROM main.${table}`)
    try {
      for (const statement of statements) {
        expect(database.prepare(statement).run().changes, statement).toBeGreaterThan(0)
      }
      const lines = await linesOff()
      return Object.fromEntries(lines.map(({ name, off }) => [name, off.map(({ id, why }) => `${id} ${why}`)]))
    } finally {
      for (const table of tables) {
        database.exec(`DELETE FROM main.${table}; INSERT INTO main.${table} SELECT * FROM saved_${table}`)
      }
      database.close()
    }
  }

  /** A completed order of this run. */
  function completedOrder(): string {
    const database = new DatabaseSync(join(data, 'order.db'), { readOnly: true })
    const row = database.prepare(`SELECT id FROM orders WHERE state = 'completed' ORDER BY id LIMIT 1`).get()
    database.close()
    return String(row?.['id'])
  }

  it('balance when nobody tampers', async () => {
    expect(await linesOff()).toEqual([])
  })

  it('show a charge that happened twice', async () => {
    const id = completedOrder()
    const off = await offAfter(
      'payment',
      `UPDATE accounts SET balance = balance - p.amount FROM payments p WHERE p.account = accounts.id AND p.order_id = '${id}'`,
      `INSERT INTO payments SELECT * FROM payments WHERE order_id = '${id}'`,
    )
    expect(off).toEqual({
      completed: [`${id} is completed with 1 reservations and 2 payments of its size`],
      once: [`${id} has 2 payments`],
    })
  })

  it('show money that is gone', async () => {
    const off = await offAfter('payment', `UPDATE accounts SET balance = balance - 1 WHERE id = 'customer-05'`)
    expect(Object.keys(off)).toEqual(['money'])
    expect(off['money']?.[0]).toMatch(/^customer-05 \d+ cents at first, but \d+ left \+ \d+ charged$/)
  })

  it('show a reservation that happened twice', async () => {
    const id = completedOrder()
    const off = await offAfter(
      'stock',
      `UPDATE stock SET on_hand = on_hand - r.quantity FROM reservations r WHERE r.sku = stock.sku AND r.order_id = '${id}'`,
      `INSERT INTO reservations SELECT * FROM reservations WHERE order_id = '${id}'`,
    )
    expect(Object.keys(off)).toEqual(['completed', 'once'])
  })

  it.each([
    ['stock', `UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'cup'`, ['stock']],
    ['order', `UPDATE orders SET state = 'placed' WHERE id = 'order-0003'`, ['orders']],
    [
      'order',
      `DELETE FROM orders WHERE id = (SELECT min(id) FROM orders WHERE state = 'completed')`,
      ['orders', 'cancelled'],
    ],
    [
      'order',
      `UPDATE orders SET state = 'cancelled' WHERE id = (SELECT min(id) FROM orders WHERE state = 'completed')`,
      ['cancelled'],
    ],
    ['payment', `UPDATE payments SET amount = amount + 1 WHERE rowid = 1`, ['money', 'completed']],
    [
      'stock',
      `INSERT INTO tandem_inbox SELECT (SELECT max(seq) + 1 FROM tandem_inbox), group_name, 'another', state, type, topic, key, source,
         sent_at, causation_id, correlation_id, at FROM tandem_inbox WHERE seq = (SELECT max(seq) FROM tandem_inbox)`,
      ['once'],
    ],
    [
      'stock',
      `INSERT INTO tandem_inbox_failure (group_name, message_id, state, blocks, topic, key, type, source, sent_at, correlation_id,
         attempts, attempts_in_round, headers, body) VALUES ('stock', 'm', 'dead', 0, 't', 'k', 'x', 's', 0, 'c', 1, 1, '{}', x'')`,
      ['dead letters'],
    ],
    [
      'payment',
      `INSERT INTO tandem_outbox (shard, id, topic, key, type, written_at, headers, body) VALUES (0, 'm', 't', 'k', 'x', 0, '{}', x'')`,
      ['outboxes'],
    ],
    ['order', `UPDATE tandem_half SET state = 'prepared'`, ['half messages']],
    ['broker', `UPDATE broker_position SET position = 0 WHERE group_name = 'stock'`, ['queue']],
  ])('show it in %s: %s', async (service, statement, lines) => {
    expect(Object.keys(await offAfter(service, statement))).toEqual(lines)
  })
})
