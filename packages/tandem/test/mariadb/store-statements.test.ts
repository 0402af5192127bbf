// How many statements each step takes, and that none of them looks at more than it needs.
import mysql2 from 'mysql2/promise'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  ACT,
  DEAD,
  dueRetry,
  FAILED,
  incoming,
  leaseShards,
  outgoing,
  RELAY,
  RETRY_NOW,
} from '../../src/conformance/store-kit.ts'
import { mysql2 as driverOn } from '../../src/drivers/mysql2.ts'
import { mysql } from '../../src/stores/mysql/index.ts'
import { benches, type Bench } from './store-bench.ts'
import { nextPrefix, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

describe.skipIf(databases === undefined)('the statements of the MySQL store', () => {
  const newBench = benches(databases!)
  let world: Bench
  beforeAll(async () => {
    world = await newBench()
  })

  /** The statements that `work` runs, with their parameters, and how many transactions it begins. */
  async function during(
    work: () => Promise<unknown>,
  ): Promise<{ statements: string[]; params: unknown[][]; transactions: number }> {
    const { spy } = world
    const [first, begun] = [spy.statements.length, spy.transactions()]
    await work()
    return {
      statements: spy.statements.slice(first),
      params: spy.params.slice(first) as unknown[][],
      transactions: spy.transactions() - begun,
    }
  }

  /** Statements, and transactions around them. */
  async function cost(work: () => Promise<unknown>): Promise<string> {
    const { statements, transactions } = await during(work)
    return `${statements.length} in ${transactions}`
  }

  describe('the number of statements', () => {
    it.each([1, 5, 500])(
      '%i messages are sent with one, and handled with one, or two in an ordered group',
      async (count) => {
        const { store } = world
        const list = <T>(make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
        const send = list((i) => outgoing(`key ${i}`))
        for (const ordered of [false, true]) {
          const handle = list((i) => incoming(`key ${i}`))
          const handled = cost(() =>
            store.transaction(async (tx) => {
              await store.inbox.begin(tx, 'g', handle, ordered)
              await store.outbox.insert(tx, send)
            }),
          )
          expect(await handled).toBe(ordered ? '3 in 1' : '2 in 1')
        }
      },
    )

    it('which of several messages are not new is asked only if some are not', async () => {
      const { store } = world
      const [one, two] = [incoming('a'), incoming('b')]
      const begin = (...list: (typeof one)[]) =>
        cost(() => store.transaction((tx) => store.inbox.begin(tx, 'g', list, false)))
      expect(await begin(one)).toBe('1 in 1')
      expect(await begin(one)).toBe('1 in 1')
      expect(await begin(one, two)).toBe('2 in 1')
    })

    it('what is to be delivered later, or in strict order, takes one more each', async () => {
      const { store } = world
      const deliverAt = new Date(4e12)
      const send = (...messages: Parameters<typeof store.outbox.insert>[1]) =>
        cost(() => store.transaction((tx) => store.outbox.insert(tx, messages)))
      expect(await send(outgoing('a', { strictOrder: true }), outgoing('b'))).toBe('2 in 1')
      expect(await send(outgoing('a', { deliverAt }))).toBe('2 in 1')
    })

    it('a look at the outbox takes one, and removing what was published two', async () => {
      const { store, fences } = world
      const messages = await store.outbox.read(fences, 10_000)
      expect(messages.length).toBeGreaterThan(500)
      expect(await cost(() => store.outbox.remove(fences, messages))).toBe('2 in 1')
      expect(await cost(() => store.outbox.read(fences, 10))).toBe('1 in 0')
      expect(await cost(() => store.outbox.read(fences.slice(3), 10))).toBe('1 in 0')
    })

    it('looking for what is due takes one, and those who find nothing change nothing', async () => {
      const { store, fences } = world
      expect(await cost(() => store.outbox.promote(fences, 10))).toBe('1 in 0')
      expect(await cost(() => store.inbox.due(['g'], 10))).toBe('2 in 0')
      expect(await cost(() => store.half.due({ barrier: true }, 10))).toBe('2 in 0')
      expect(await cost(() => store.inbox.expire(1e9, 10))).toBe('2 in 2')
      expect(await cost(() => store.half.expire(1e9, 10))).toBe('2 in 2')
    })

    it('a half message with its barrier takes one each', async () => {
      const { store } = world
      const half = outgoing('a')
      expect(await cost(() => store.half.prepare(half, { barrier: true, firstCheckIn: 1000 }))).toBe('1 in 1')
      expect(await cost(() => store.transaction((tx) => store.half.insertBarrier(tx, half.id)))).toBe('1 in 1')
      expect(await cost(() => store.half.resolve(half.id, 'commit'))).toBe('3 in 1')
    })
  })

  describe('the plans of the statements that the engine runs', () => {
    /** What is read whole by design: lists of parameters, what a statement has made itself, and a table that is nearly always empty. */
    const OWN = new Set(['listed', 'm', 'place', 'returned'])

    /** The tables, by alias, that a statement reads whole. */
    async function scans(sql: string, params: readonly unknown[]): Promise<string[]> {
      const plan = await world.run(`EXPLAIN ${sql}`, params)
      return (
        plan
          // What is inserted into is told as a table without rows.
          .filter(({ type, rows }) => (type === 'ALL' || type === 'index') && rows !== null)
          .map(({ table }) => String(table))
          .filter((table) => !table.startsWith('<') && !OWN.has(table))
          .filter((table) => !/(?:lease|process)$|^clock_of_/.test(table))
      )
    }

    beforeAll(async () => {
      const { prefix, run } = world
      const fill = (table: string, columns: string, values: string): Promise<unknown> =>
        run(
          `INSERT INTO ${prefix}${table} (${columns}) SELECT ${values}
            FROM (SELECT a.slot + 17 AS n FROM ${prefix}turn a UNION ALL SELECT b.slot + 20000 FROM ${prefix}turn b) numbers`,
        )
      const message = "concat('t', n % 9), concat('k', n % 1000), 't', '{}', ''"
      const content = 'topic, `key`, type, headers, body'
      await fill('outbox', `shard, written_at, id, ${content}`, `n % 16, now(), concat('x', n), ${message}`)
      await fill(
        'outbox_held',
        `position, shard, written_at, due_at, state, id, ${content}`,
        `-n, n % 16, now(), CASE WHEN n % 3 = 0 THEN now() + INTERVAL 1 DAY END,
          CASE WHEN n % 3 = 0 THEN 'waiting' ELSE 'behind' END, concat('y', n), ${message}`,
      )
      await fill(
        'half',
        `shard, barrier, prepared_at, next_check_at, decided_at, state, id, ${content}`,
        `n % 16, n % 2 = 0, now(), CASE WHEN n % 9 = 0 THEN now() + INTERVAL 1 DAY END, CASE WHEN n % 9 > 0 THEN now() END,
          CASE WHEN n % 9 = 0 THEN 'prepared' ELSE 'committed' END, concat('h', n), ${message}`,
      )
      await fill('barrier', 'id, at, decision', "concat('b', n), now(), 'commit'")
      await fill(
        'inbox',
        'at, sent_at, group_name, message_id, state, type, topic, `key`, source, correlation_id',
        `now(), now(), concat('g', n % 3), concat('i', n), CASE WHEN n % 9 = 0 THEN 'dead' ELSE 'handled' END, 't', 't', 'k', 's', 'c'`,
      )
      await fill(
        'inbox_failure',
        `attempts, attempts_in_round, blocks, sent_at, due_at, died_at, group_name, message_id, state, ${content}, source, correlation_id`,
        `1, 1, n % 2 = 0, now(), now() + INTERVAL 1 DAY, CASE WHEN n % 3 = 0 THEN now() END, concat('g', n % 3), concat('f', n),
          elt(n % 3 + 1, 'dead', 'retrying', 'blocked'), ${message}, 's', 'c'`,
      )
      await fill(
        'inbox_attempt',
        'at, attempt, group_name, message_id, error, stack, process',
        "now(), 1, concat('g', n % 3), concat('f', n), 'e', 's', 'p'",
      )
    })

    async function check(work: () => Promise<unknown>): Promise<void> {
      const { statements, params } = await during(work)
      expect(statements.length).toBeGreaterThan(0)
      for (const [i, sql] of statements.entries()) {
        expect({ sql, scans: await scans(sql, params[i]!) }).toEqual({ sql, scans: [] })
      }
    }

    it('sees a scan', async () => {
      expect(await scans(`SELECT 1 FROM ${world.prefix}outbox WHERE type = ?`, ['x'])).toEqual([
        `${world.prefix}outbox`,
      ])
    })

    const areas: Readonly<Record<string, (bench: Bench) => Promise<unknown>>> = {
      outbox: async ({ store, fences }) => {
        const deliverAt = new Date(Date.now() - 1)
        await store.transaction((tx) =>
          store.outbox.insert(tx, [
            outgoing('a'),
            outgoing('a', { strictOrder: true }),
            outgoing('b', { deliverAt }),
            outgoing('b', { deliverAt: new Date(4e12) }),
          ]),
        )
        await store.outbox.read(fences.slice(1), 2)
        const [first, second] = await store.outbox.read(fences, 2)
        const hold = (position: number, state: 'waiting' | 'behind') => ({ position, state, delay: 0, error: 'x' })
        await store.outbox.hold(fences, [hold(first!.position, 'waiting'), hold(second!.position, 'behind')])
        await store.outbox.promote(fences, 10)
        await store.outbox.remove(fences, await store.outbox.read(fences, 100))
        await store.admin.retryHeld('y1', ACT)
        await store.admin.discardHeld('y1', ACT)
        await store.admin.heldMessages({ state: 'unsendable' }, { limit: 10 })
        await store.admin.heldMessages({}, { limit: 10 })
        await store.admin.halfMessages({ state: 'undecided' }, { limit: 10 })
        await store.admin.halfMessages({}, { limit: 10 })
      },
      'half messages': async ({ store, fences }) => {
        const half = outgoing('a')
        const schedule = { transactionTimeOut: 1, transactionCheckInterval: 1, transactionCheckMax: 10 }
        await store.half.prepare(half, { barrier: true, firstCheckIn: 0 })
        await store.half.due({ barrier: true }, 10)
        await store.half.due({ barrier: false, types: ['a', 'b'] }, 10)
        await store.half.recordUnknown(fences[0]!, half.id, schedule, 'x')
        await store.transaction((tx) => store.half.insertBarrier(tx, half.id))
        await store.half.closeBarrier(half.id, 1000)
        await store.half.resolve(half.id, 'commit')
        await store.half.expire(1e12, 10)
      },
      inbox: async ({ store }) => {
        const [one, two, dead] = [incoming('x'), incoming('x'), incoming('y')]
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('a')], false))
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('a')], true))
        const many = Array.from({ length: 64 }, () => incoming('b'))
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [...many, ...many], true))
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('b'), ...many], true))
        await store.inbox.recordFailure('g', one, FAILED, RETRY_NOW, true)
        await store.inbox.block('g', two)
        const due = await dueRetry(store, 'g', one.id)
        const version = await store.inbox.beginRetry(due, 'p', 0)
        await store.inbox.failRetry({ ...due, version: version! }, FAILED, RETRY_NOW)
        const again = await dueRetry(store, 'g', one.id)
        await store.transaction((tx) => store.inbox.completeRetry(tx, again))
        await store.inbox.state('g', one.id)
        await store.inbox.recordFailure('g', dead, FAILED, DEAD, true)
        await store.admin.deadLetters({}, { limit: 10 })
        await store.admin.deadLetter({ group: 'g', id: dead.id })
        await store.admin.replayDeadLetter({ group: 'g', id: 'x' }, ACT)
        await store.admin.discardDeadLetter({ group: 'g', id: dead.id }, ACT)
        await store.inbox.expire(1e12, 100)
      },
      leases: async ({ store }) => {
        await leaseShards(store, RELAY, 1e9)
        await store.leases.release(RELAY)
      },
    }

    it.each(Object.keys(areas))('%s: none reads a table that is full', (area) => check(() => areas[area]!(world)))

    // What an UPDATE or DELETE reads it locks: a plan that is cheap, because there is little, may wait for everybody.
    it.each(Object.keys(areas))('%s: nor one that is empty', async (area) => {
      const before = world
      world = await newBench()
      try {
        await check(() => areas[area]!(world))
      } finally {
        world = before
      }
    })
  })

  it('runs on one connection, and one transaction at a time', async () => {
    const { home } = databases!
    const pool = mysql2.createPool({ ...home, connectionLimit: 1 })
    const store = mysql(driverOn(pool), { tablePrefix: nextPrefix(), migrate: true })
    await store.open({ service: 'test' })
    const fences = await leaseShards(store, RELAY, 1e9)
    const message = incoming('a')
    await Promise.all([
      store.transaction((tx) => store.outbox.insert(tx, [outgoing('a')])),
      store.inbox.recordFailure('g', message, FAILED, RETRY_NOW, true),
      store.inbox.block('g', incoming('a')),
      store.half.closeBarrier('x', 100),
      store.leases.exchange(RELAY, [['one']], 1000),
      store.admin.overview(),
      store.schema.status(),
    ])
    expect(await store.outbox.read(fences, 10)).toHaveLength(1)
    await pool.end()
  })
})
