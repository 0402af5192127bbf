// How many statements each step takes, and that none of them looks at more than it needs.
import pg from 'pg'
import postgresjs from 'postgres'
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
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { benches, type Bench } from './store-bench.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

describe.skipIf(databases === undefined)('the statements of the PostgreSQL store', () => {
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
    it.each([1, 5, 500])('%i messages are sent with one, and handled with one', async (count) => {
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
        expect(await handled).toBe('2 in 1')
      }
    })

    it('messages of every kind together are sent with one', async () => {
      const { store } = world
      const deliverAt = new Date(4e12)
      const messages = [outgoing('a'), outgoing('a', { strictOrder: true }), outgoing('b', { deliverAt })]
      expect(await cost(() => store.transaction((tx) => store.outbox.insert(tx, messages)))).toBe('1 in 1')
    })

    it('a look at the outbox takes one, and removing what was published as well', async () => {
      const { store, fences } = world
      await store.outbox.read(fences, 10_000)
      let messages = await store.outbox.read(fences, 10_000)
      expect(messages.length).toBeGreaterThan(500)
      expect(await cost(() => store.outbox.remove(fences, messages))).toBe('1 in 0')
      for (let round = 0; round < 2; round++) await store.outbox.read(fences, 10)
      expect(await cost(() => store.outbox.read(fences, 10))).toBe('1 in 0')
      for (let round = 0; round < 2; round++) await store.outbox.read(fences.slice(3), 10)
      expect(await cost(() => store.outbox.read(fences.slice(3), 10))).toBe('1 in 0')
      messages = await store.outbox.read(fences, 10)
      expect(messages).toEqual([])
    })

    it('looking for what is due takes one, and those who find nothing change nothing', async () => {
      const { store, fences } = world
      expect(await cost(() => store.outbox.promote(fences, 10))).toBe('1 in 0')
      expect(await cost(() => store.inbox.due(['g'], 10))).toBe('2 in 0')
      expect(await cost(() => store.half.due({ barrier: true }, 10))).toBe('2 in 0')
      expect(await cost(() => store.inbox.expire(1e9, 10))).toBe('1 in 0')
      expect(await cost(() => store.half.expire(1e9, 10))).toBe('2 in 0')
    })

    it('a half message with its barrier takes one each', async () => {
      const { store } = world
      const half = outgoing('a')
      expect(await cost(() => store.half.prepare(half, { barrier: true, firstCheckIn: 1000 }))).toBe('1 in 0')
      expect(await cost(() => store.transaction((tx) => store.half.insertBarrier(tx, half.id)))).toBe('1 in 1')
      expect(await cost(() => store.half.resolve(half.id, 'commit'))).toBe('1 in 0')
    })

    it('a failed attempt takes one, and so do the beginning and the end of the next one', async () => {
      const { store } = world
      const message = incoming('z')
      expect(await cost(() => store.inbox.recordFailure('g', message, FAILED, RETRY_NOW, false))).toBe('1 in 0')
      const due = await dueRetry(store, 'g', message.id)
      let version: number | undefined
      expect(await cost(async () => (version = await store.inbox.beginRetry(due, 'host:1', 1000)))).toBe('1 in 0')
      const begun = { ...due, version: version! }
      expect(await cost(() => store.inbox.failRetry(begun, FAILED, RETRY_NOW))).toBe('1 in 0')
      const again = await dueRetry(store, 'g', message.id)
      expect(await cost(() => store.transaction((tx) => store.inbox.completeRetry(tx, again)))).toBe('1 in 1')
    })
  })

  describe('the plans of the statements that the engine runs', () => {
    interface Node {
      readonly 'Node Type': string
      readonly 'Relation Name'?: string
      readonly Plans?: readonly Node[]
    }

    /** The tables that a statement reads whole. */
    async function scans(sql: string, params: readonly unknown[]): Promise<string[]> {
      const [row] = await world.run(`EXPLAIN (FORMAT JSON) ${sql}`, params)
      const found: string[] = []
      const walk = (node: Node): void => {
        if (node['Node Type'] === 'Seq Scan') found.push(node['Relation Name']!)
        for (const below of node.Plans ?? []) walk(below)
      }
      walk((row!['QUERY PLAN'] as { Plan: Node }[])[0]!.Plan)
      // One row for each process and each lease.
      return found.filter((table) => !['lease', 'process', 'clock', 'outbox_position'].includes(table))
    }

    beforeAll(async () => {
      const { schema, run } = world
      const fill = (table: string, columns: string, values: string): Promise<unknown> =>
        run(`INSERT INTO ${schema}.${table} (${columns}) SELECT ${values} FROM generate_series(1, 20000) n`)
      const message = "'t' || n % 9, 'k' || n % 1000, 't', '{}', ''"
      await fill(
        'outbox',
        'shard, written_at, id, topic, key, type, headers, body',
        `n % 16, now(), 'x' || n, ${message}`,
      )
      await fill(
        'outbox_held',
        'position, shard, written_at, due_at, state, id, topic, key, type, headers, body',
        `-n, n % 16, now(), CASE WHEN n % 3 = 0 THEN now() + interval '1 day' END,
          CASE WHEN n % 3 = 0 THEN 'waiting' ELSE 'behind' END, 'y' || n, ${message}`,
      )
      await fill(
        'half',
        'shard, barrier, prepared_at, next_check_at, decided_at, state, id, topic, key, type, headers, body',
        `n % 16, n % 2 = 0, now(), CASE WHEN n % 9 = 0 THEN now() + interval '1 day' END, CASE WHEN n % 9 > 0 THEN now() END,
          CASE WHEN n % 9 = 0 THEN 'prepared' ELSE 'committed' END, 'h' || n, ${message}`,
      )
      await fill('barrier', 'id, at, decision', "'b' || n, now(), 'commit'")
      await fill(
        'inbox',
        'at, sent_at, group_name, message_id, state, type, topic, key, source, correlation_id',
        "now(), now(), 'g' || n % 3, 'i' || n, CASE WHEN n % 9 = 0 THEN 'dead' ELSE 'handled' END, 't', 't', 'k', 's', 'c'",
      )
      await fill(
        'inbox_failure',
        `attempts, attempts_in_round, blocks, sent_at, due_at, died_at, group_name, message_id, state, topic, key, type,
          headers, body, source, correlation_id`,
        `1, 1, n % 2 = 0, now(), now() + interval '1 day', CASE WHEN n % 3 = 0 THEN now() END, 'g' || n % 3, 'f' || n,
          (ARRAY['dead', 'retrying', 'blocked'])[n % 3 + 1], ${message}, 's', 'c'`,
      )
      await fill(
        'inbox_attempt',
        'at, attempt, group_name, message_id, error, stack, process',
        "now(), 1, 'g' || n % 3, 'f' || n, 'e', 's', 'p'",
      )
      await run(`ANALYZE`)
    })

    async function check(work: () => Promise<unknown>): Promise<void> {
      const { statements, params } = await during(work)
      expect(statements.length).toBeGreaterThan(0)
      for (const [i, sql] of statements.entries()) {
        expect({ sql, scans: await scans(sql, params[i]!) }).toEqual({ sql, scans: [] })
      }
    }

    it('sees a scan', async () => {
      expect(await scans(`SELECT 1 FROM ${world.schema}.outbox WHERE type = $1`, ['x'])).toEqual(['outbox'])
    })

    it('outbox: none reads a table', async () => {
      const { store, fences } = world
      await check(async () => {
        const deliverAt = new Date(Date.now() - 1)
        await store.transaction((tx) =>
          store.outbox.insert(tx, [outgoing('a'), outgoing('a'), outgoing('b', { deliverAt })]),
        )
        await store.outbox.read(fences.slice(1), 2)
        const [first, second] = await store.outbox.read(fences, 2)
        const hold = (position: number, state: 'waiting' | 'behind') => ({ position, state, delay: 0, error: 'x' })
        await store.outbox.hold(fences, [hold(first!.position, 'waiting'), hold(second!.position, 'behind')])
        await store.outbox.promote(fences, 10)
        await store.outbox.remove(fences, await store.outbox.read(fences, 100))
        await store.admin.retryHeld('x', ACT)
        await store.admin.discardHeld('x', ACT)
        await store.admin.heldMessages({ state: 'unsendable' }, { limit: 10 })
        await store.admin.heldMessages({}, { limit: 10 })
        await store.admin.halfMessages({ state: 'undecided' }, { limit: 10 })
      })
    })

    it('half messages: none reads a table', async () => {
      const { store, fences } = world
      await check(async () => {
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
      })
    })

    it('inbox: none reads a table', async () => {
      const { store } = world
      await check(async () => {
        const [one, two, dead] = [incoming('x'), incoming('x'), incoming('y')]
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('a')], false))
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('a')], true))
        const many = Array.from({ length: 64 }, () => incoming('b'))
        await store.transaction((tx) => store.inbox.begin(tx, 'g', [...many, ...many], true))
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
      })
    })

    it('leases: none reads another table', async () => {
      await check(async () => {
        await leaseShards(world.store, RELAY, 1e9)
        await world.store.leases.release(RELAY)
      })
    })
  })

  it('a plan that was made while everything was empty is good when it is full', async () => {
    const { home, control } = databases!
    const schema = nextSchema()
    // postgres.js prepares statements, and PostgreSQL keeps the plan after some runs.
    const sql = postgresjs({ ...home, max: 1, onnotice: () => undefined })
    const store = postgres(postgresJs(sql), { schema, migrate: true })
    try {
      await store.open({ service: 'test' })
      const fences = await leaseShards(store, RELAY, 1e9)
      const round = async (): Promise<number> => {
        const messages = await store.outbox.read(fences, 100)
        await store.outbox.remove(fences, messages)
        return messages.length
      }
      for (let i = 0; i < 10; i++) {
        await store.transaction((tx) => store.outbox.insert(tx, [outgoing('a')]))
        expect(await round()).toBe(1)
      }
      const fetched = async (): Promise<number> => {
        const [row] = await control.run(
          `SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'outbox'`,
          [schema],
        )
        return Number(row?.['rows'])
      }
      await control.run(`INSERT INTO ${schema}.outbox (shard, written_at, id, topic, key, type, headers, body)
        SELECT n % 16, now(), n, 't', n, 't', '{}', '' FROM generate_series(1, 50000) n`)
      for (let i = 0; i < 20; i++) expect(await round()).toBe(100)
      const [server] = await sql.unsafe(`SELECT current_setting('server_version_num')::int4 / 10000 AS version`)
      const version = Number(server?.['version'])
      // Before PostgreSQL 15 they are collected by another process, and half a second later at the latest.
      if (version >= 15) await sql.unsafe('SELECT pg_stat_force_next_flush()')
      if (version >= 14) {
        const plans = await sql.unsafe(
          `SELECT generic_plans::int AS generic FROM pg_prepared_statements WHERE statement LIKE 'WITH look%' AND generic_plans > 0`,
        )
        // Otherwise this shows nothing.
        expect(plans.length).toBeGreaterThan(0)
      }
      // 300 for each round, and those of the INSERTs' indexes; the whole table would be 50,000 each time.
      expect(await fetched()).toBeLessThan(50_000)
    } finally {
      await sql.end()
    }
  })

  it('runs on one connection, and one transaction at a time', async () => {
    const { home } = databases!
    const pool = new pg.Pool({ ...home, max: 1 })
    const { pg: pgDriver } = await import('../../src/drivers/pg.ts')
    const store = postgres(pgDriver(pool), { schema: nextSchema(), migrate: true })
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
