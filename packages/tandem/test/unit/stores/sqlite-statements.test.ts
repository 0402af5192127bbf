import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
} from '../../../src/conformance/store-kit.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import type { ShardFence } from '../../../src/spi/store.ts'
import { sqlite } from '../../../src/stores/sqlite/index.ts'
import { spyOn } from './spy-driver.ts'

const { driver, statements } = spyOn(nodeSqlite(':memory:'))
const store = sqlite(driver, { migrate: true })
let fences: readonly ShardFence[] = []

beforeAll(async () => {
  await store.open({ service: 'test' })
  fences = await leaseShards(store, RELAY, 1e9)
})
afterAll(() => store.close())

/** The statements that `work` runs. */
async function during(work: () => Promise<unknown>): Promise<string[]> {
  statements.length = 0
  await work()
  return [...statements]
}

describe('the number of statements', () => {
  it.each([false, true])('handling one message and sending one takes two, ordered: %s', async (ordered) => {
    const run = await during(() =>
      store.transaction(async (tx) => {
        await store.inbox.begin(tx, 'g', [incoming('a')], ordered)
        await store.outbox.insert(tx, [outgoing('a')])
      }),
    )
    expect(run).toHaveLength(2)
  })

  it('any number of messages is sent with one, and handled with one', async () => {
    const run = await during(() =>
      store.transaction(async (tx) => {
        await store.inbox.begin(
          tx,
          'g',
          Array.from({ length: 500 }, () => incoming('a')),
          true,
        )
        await store.outbox.insert(
          tx,
          Array.from({ length: 500 }, () => outgoing('a')),
        )
      }),
    )
    expect(run).toHaveLength(2)
  })

  it('a look at the outbox takes one, an idle look for what is due as well', async () => {
    expect(await during(() => store.outbox.read(fences, 10))).toHaveLength(1)
    expect(await during(() => store.outbox.read(fences.slice(2), 10))).toHaveLength(1)
    expect(await during(() => store.outbox.promote(fences, 10))).toHaveLength(1)
  })

  it('removing a batch takes three', async () => {
    const messages = await store.outbox.read(fences, 100)
    expect(messages.length).toBe(100)
    expect(await during(() => store.outbox.remove(fences, messages))).toHaveLength(3)
  })
})

describe('the plans of the statements that the engine runs', () => {
  // A scan that ends with the first row or at the limit, in the order of the rowid or of an index; or of a table that stays small.
  const BOUNDED = [
    /VIRTUAL TABLE/,
    /CONSTANT ROW/,
    /VALUES CLAUSE/,
    /^SCAN \(subquery/,
    /^SCAN tandem_(lease|process)$/,
  ]

  async function scans(sql: string): Promise<string[]> {
    const params = Array.from(sql.matchAll(/\?/g), () => null)
    const { rows } = await driver.query(`EXPLAIN QUERY PLAN ${sql}`, params)
    const plan = rows.map((row) => String(row['detail']))
    const bounded = /ORDER BY (o\.position|seq|seq DESC) LIMIT/.test(sql) ? /^SCAN (o|tandem_inbox)$/ : /^$/
    return plan.filter(
      (step) =>
        step.includes('AUTOMATIC') ||
        // What comes from a JSON list is as long as the limit at most.
        (step === 'USE TEMP B-TREE FOR ORDER BY' && !sql.includes('json_each')) ||
        // The rows of a search without an index are all of the table's.
        /^SEARCH \w+$/.test(step) ||
        (step.startsWith('SCAN') && ![...BOUNDED, bounded].some((allowed) => allowed.test(step))),
    )
  }

  async function check(work: () => Promise<unknown>): Promise<void> {
    const run = new Set(await during(work))
    expect(run.size).toBeGreaterThan(0)
    for (const sql of run) expect({ sql, scans: await scans(sql) }).toEqual({ sql, scans: [] })
  }

  it('sees a scan', async () => {
    expect(await scans('SELECT * FROM tandem_outbox WHERE type = ?')).toEqual(['SCAN tandem_outbox'])
  })

  it('outbox: none looks at more than it needs', async () => {
    await check(async () => {
      const deliverAt = new Date(Date.now() - 1)
      await store.transaction((tx) =>
        store.outbox.insert(tx, [outgoing('a'), outgoing('a'), outgoing('b', { deliverAt })]),
      )
      const [first, second] = await store.outbox.read(fences, 2)
      await store.outbox.read(fences.slice(1), 2)
      const hold = (position: number, state: 'waiting' | 'behind') => ({ position, state, delay: 0, error: 'x' })
      await store.outbox.hold(fences, [hold(first!.position, 'waiting'), hold(second!.position, 'behind')])
      await store.outbox.promote(fences, 10)
      await store.outbox.remove(fences, await store.outbox.read(fences, 1000))
      await store.admin.retryHeld('x', ACT)
      await store.admin.discardHeld('x', ACT)
      await store.admin.heldMessages({ state: 'unsendable' }, { limit: 10 })
      await store.admin.halfMessages({ state: 'undecided' }, { limit: 10 })
    })
  })

  it('reading some of the shards goes through the outbox in its order, and sorts nothing', async () => {
    const [sql = ''] = await during(() => store.outbox.read(fences.slice(1), 10))
    const { rows } = await driver.query(`EXPLAIN QUERY PLAN ${sql}`, [null, null])
    const plan = rows.map((row) => String(row['detail']))
    expect(plan).toContain('SCAN o')
    expect(plan.filter((step) => step.startsWith('USE TEMP B-TREE'))).toEqual([])
  })

  it('half messages: none looks at more than it needs', async () => {
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
      await store.half.expire(-1, 10)
    })
  })

  it('inbox: none looks at more than it needs', async () => {
    await check(async () => {
      const [one, two, dead] = [incoming('x'), incoming('x'), incoming('y')]
      await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('a')], false))
      await store.transaction((tx) => store.inbox.begin(tx, 'g', [incoming('a')], true))
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
      await store.inbox.expire(-1, 1000)
    })
  })

  it('leases: none looks at more than it needs', async () => {
    await check(async () => {
      await leaseShards(store, RELAY, 1e9)
      await store.leases.release(RELAY)
    })
  })
})
