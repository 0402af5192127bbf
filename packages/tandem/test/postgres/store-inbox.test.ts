// What is PostgreSQL's own in the inbox: transactions that are open at the same moment.
import { describe, expect, it } from 'vitest'
import {
  ACT,
  DEAD,
  dueRetry,
  FAILED,
  holdOpen,
  incoming,
  RETRY_NOW,
  retryWell,
} from '../../src/conformance/store-kit.ts'
import type { InboxMessage, RetryMessage, Store } from '../../src/spi/store.ts'
import { benches, type Bench, type Tx } from './store-bench.ts'
import { storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const G = 'group'

describe.skipIf(databases === undefined)('the inbox on PostgreSQL', () => {
  const bench = benches(databases!)

  async function failed(store: Store<Tx>, how: typeof RETRY_NOW = RETRY_NOW): Promise<InboxMessage> {
    const message = incoming('a')
    await store.inbox.recordFailure(G, message, FAILED, how, true)
    return message
  }

  async function begun(store: Store<Tx>, id: string): Promise<RetryMessage> {
    const due = await dueRetry(store, G, id)
    return { ...due, version: (await store.inbox.beginRetry(due, 'host:1', 60_000))! }
  }

  describe('a message that comes while the one before it is being handled again', () => {
    it.each([
      ['commit', 'free'],
      ['rollBack', 'blocked'],
    ] as const)('waits for it, and after its %s is %s', async (end, outcome) => {
      const { store, another, someoneWaits } = await bench()
      const other = await another()
      const first = await failed(store)
      const retry = await begun(store, first.id)
      const open = await holdOpen(store, (tx) => store.inbox.completeRetry(tx, retry))
      const late = incoming('a')
      const blocking = other.inbox.block(G, late)
      await someoneWaits()
      await open[end]()
      expect(await blocking).toBe(outcome)
      // Another key has not waited for anything.
      expect(await other.inbox.block(G, incoming('b'))).toBe('free')
    })

    it('is seen by a transaction whose snapshot is older: that one fails and is run again', async () => {
      const { store, client } = await bench()
      const first = await failed(store)
      const retry = await begun(store, first.id)
      const late = incoming('a')
      const tx = await client()
      await tx.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await tx.query('SELECT count(*) FROM pg_class')
      expect(await store.inbox.block(G, late)).toBe('blocked')
      const error = await store.inbox.completeRetry(tx, retry).catch((thrown: unknown) => thrown)
      expect(store.classify(error)).toBe('conflict')
      await tx.query('ROLLBACK')
      tx.release()
      expect(await store.transaction((again) => store.inbox.completeRetry(again, retry))).toBe(true)
      expect(await store.inbox.state(G, late.id)).toBe('retrying')
    })
  })

  describe('two messages of a key that are settled at the same moment', () => {
    it('let the next one go on, whoever is first', async () => {
      const { store, another, someoneWaits } = await bench()
      const other = await another()
      const [first, second, third] = [await failed(store), await failed(store, DEAD), incoming('a')]
      await store.inbox.block(G, third)
      const retry = await begun(store, first.id)
      const open = await holdOpen(store, (tx) => store.inbox.completeRetry(tx, retry))
      const discarding = other.admin.discardDeadLetter({ group: G, id: second.id }, ACT)
      await someoneWaits()
      await open.commit()
      expect(await discarding).toBe(true)
      expect(await store.inbox.state(G, third.id)).toBe('retrying')
    })

    it('and however they meet', async () => {
      const { store, another } = await bench()
      const other = await another()
      for (let round = 0; round < 25; round++) {
        const [first, second, third] = [await failed(store), await failed(store, DEAD), incoming('a')]
        await store.inbox.block(G, third)
        const retry = await begun(store, first.id)
        await Promise.all([
          store.transaction((tx) => store.inbox.completeRetry(tx, retry)),
          other.admin.discardDeadLetter({ group: G, id: second.id }, ACT),
          other.inbox.block(G, incoming('a', { topic: 'another' })),
        ])
        await retryWell(store, G, third.id)
      }
    })
  })

  describe('expiry', () => {
    const old = async ({ store, advance }: Bench, count: number): Promise<readonly InboxMessage[]> => {
      const messages = Array.from({ length: count }, () => incoming('a'))
      await store.transaction((tx) => store.inbox.begin(tx, G, messages, false))
      await advance(10_000)
      return messages
    }

    it('waits for no handler, whatever it has locked', async () => {
      const world = await bench()
      const { store, schema } = world
      const [locked] = await old(world, 5)
      const open = await holdOpen(store, async (tx) => {
        await store.inbox.begin(tx, G, [incoming('b')], true)
        await tx.query(`SELECT 1 FROM ${schema}.inbox WHERE message_id = $1 FOR UPDATE`, [locked!.id])
      })
      expect(await store.inbox.expire(5000, 10)).toBe(4)
      await open.rollBack()
      expect(await store.inbox.expire(5000, 10)).toBe(1)
    })

    it('keeps no handler waiting', async () => {
      const world = await bench()
      const { store, spy, client } = world
      await old(world, 20)
      await store.inbox.expire(1e9, 10)
      const [sql] = [spy.statements.at(-1)!]
      const clean = await client()
      await clean.query('BEGIN')
      // What a clean-up that is under way has locked.
      expect((await clean.query(sql, [5000, 10, null])).rows).toMatchObject([{ gone: 10 }])
      expect(await store.inbox.expire(5000, 100)).toBe(10)
      await store.transaction(async (tx) => {
        await tx.query("SET LOCAL lock_timeout = '1ms'")
        const outcomes = await store.inbox.begin(tx, G, [incoming('a'), incoming('b')], true)
        expect(outcomes).toEqual(['new', 'new'])
      })
      await clean.query('ROLLBACK')
      clean.release()
    })
  })

  it('of many who begin the same messages in any order each message is new once, and none of them fails for good', async () => {
    const { store, another } = await bench()
    const stores = [store, await another(), await another()]
    const messages = Array.from({ length: 30 }, (_, i) => incoming(`key ${i}`))
    let fresh = 0
    await Promise.all(
      stores
        .flatMap((one) => [messages, messages.toReversed()].map((list) => ({ one, list })))
        .map(async ({ one, list }) => {
          for (;;) {
            try {
              const outcomes = await one.transaction((tx) => one.inbox.begin(tx, G, list, false))
              fresh += outcomes.filter((outcome) => outcome === 'new').length
              return
            } catch (error) {
              expect(one.classify(error)).toBe('conflict')
            }
          }
        }),
    )
    expect(fresh).toBe(30)
  })

  it('messages of others may hold what PostgreSQL cannot store', async () => {
    const { store } = await bench()
    const odd = 'a\u0000b\ud800'
    const message = incoming(odd, { id: odd, type: odd, source: odd, headers: { note: odd }, sentAt: -1e15 })
    const attempt = { error: odd, stack: odd, process: 'host:1' }
    expect(await store.inbox.recordFailure(G, message, attempt, DEAD, true)).toBe('recorded')
    expect(await store.inbox.recordFailure(G, message, attempt, DEAD, true)).toBe('duplicate')
    expect(await store.inbox.state(G, odd)).toBe('dead')
    const [letter] = await store.admin.deadLetters({ key: odd }, { limit: 10 })
    expect(letter).toMatchObject({ id: 'a\ufffdb\ufffd', error: 'a\ufffdb\ufffd', source: 'a\ufffdb\ufffd' })
    const detail = await store.admin.deadLetter({ group: G, id: letter!.id })
    expect([detail?.headers, detail?.history.length]).toEqual([{ note: odd }, 1])
    expect(await store.inbox.block(G, incoming(odd))).toBe('blocked')
    const many = Array.from({ length: 20 }, (_, i) => incoming(odd, { id: `${odd}${i}`, topic: odd }))
    const outcomes = await store.transaction((tx) => store.inbox.begin(tx, G, many, true))
    expect(new Set(outcomes)).toEqual(new Set(['new']))
  })

  it('ids and keys of others may be longer than an index can hold', async () => {
    const { store } = await bench()
    // Nothing that compresses well.
    const long = Array.from({ length: 2000 }, (_, i) => (i * 7919).toString(36)).join('')
    const message = incoming(long, { id: long })
    expect(await store.transaction((tx) => store.inbox.begin(tx, G, [message], true))).toEqual(['new'])
    expect(await store.transaction((tx) => store.inbox.begin(tx, G, [message], true))).toEqual(['duplicate'])
    const [first, second] = [incoming(`${long}1`, { id: `${long}1` }), incoming(`${long}1`, { id: `${long}2` })]
    await store.inbox.recordFailure(G, first, FAILED, RETRY_NOW, true)
    expect(await store.inbox.block(G, incoming(long))).toBe('free')
    expect(await store.inbox.block(G, second)).toBe('blocked')
    const { due } = await store.inbox.due([G], 10)
    expect(due.map(({ id, key }) => [id.length, key])).toEqual([[71, `${long}1`]])
    const version = (await store.inbox.beginRetry(due[0]!, 'host:1', 1000))!
    expect(await store.transaction((tx) => store.inbox.completeRetry(tx, { ...due[0]!, version }))).toBe(true)
    expect([await store.inbox.state(G, first.id), await store.inbox.state(G, second.id)]).toEqual([
      'handled',
      'retrying',
    ])
    expect(await store.admin.trace(second.id)).toHaveLength(1)
  })
})
