// What is MySQL's own in the inbox: transactions that are open at the same moment, and what is equal and what is not.
import { describe, expect, it } from 'vitest'
import {
  ACT,
  DEAD,
  dueRetry,
  FAILED,
  holdOpen,
  incoming,
  outgoing,
  RETRY_NOW,
  retryWell,
} from '../../src/conformance/store-kit.ts'
import type { InboxMessage, RetryMessage, Store } from '../../src/spi/store.ts'
import { benches, type Bench, type Tx } from './store-bench.ts'
import { storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const G = 'group'
const LEVELS = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']

describe.skipIf(databases === undefined).each(LEVELS)('the inbox on MySQL, in sessions that are %s', (level) => {
  const bench = benches(databases!, `SET SESSION TRANSACTION ISOLATION LEVEL ${level}`)

  async function failed(store: Store<Tx>, how: typeof RETRY_NOW = RETRY_NOW): Promise<InboxMessage> {
    const message = incoming('a')
    await store.inbox.recordFailure(G, message, FAILED, how, true)
    return message
  }

  async function begun(store: Store<Tx>, id: string): Promise<RetryMessage> {
    const due = await dueRetry(store, G, id)
    return { ...due, version: (await store.inbox.beginRetry(due, 'host:1', 60_000))! }
  }

  /** As the engine does it: again, if it has lost against others. */
  async function patiently<T>(store: Store<Tx>, act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await act()
      } catch (error) {
        if (store.classify(error) !== 'conflict') throw error
      }
    }
  }

  const handle = <T>(store: Store<Tx>, work: (tx: Tx) => Promise<T>): Promise<T> =>
    patiently(store, () => store.transaction(work))

  /** Where not even what is only read is free of locks, somebody may lose. */
  const settle = <T>(store: Store<Tx>, work: (tx: Tx) => Promise<T>): Promise<T> =>
    level === 'SERIALIZABLE' ? handle(store, work) : store.transaction(work)

  it.each([
    ['commit', 'free'],
    ['rollBack', 'blocked'],
  ] as const)(
    'a message that comes while the one before it is being handled again waits for it, and after its %s is %s',
    async (end, outcome) => {
      const { store, another, someoneWaits } = await bench()
      const other = await another()
      const first = await failed(store)
      const retry = await begun(store, first.id)
      const open = await holdOpen(store, (tx) => store.inbox.completeRetry(tx, retry))
      const blocking = other.inbox.block(G, incoming('a'))
      await someoneWaits()
      await open[end]()
      expect(await blocking).toBe(outcome)
      // Another key has not waited for anything.
      expect(await other.inbox.block(G, incoming('b'))).toBe('free')
    },
  )

  it('two messages of a key that are settled at the same moment let the next one go on, whoever is first', async () => {
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
      // They take turns. Where gaps are locked, too, one may lose against the others, and is run again.
      const acts = [
        () => store.transaction((tx) => store.inbox.completeRetry(tx, retry)),
        () => other.admin.discardDeadLetter({ group: G, id: second.id }, ACT),
        () => other.inbox.block(G, incoming('a', { topic: 'another' })),
      ]
      await Promise.all(acts.map((act) => (level === 'READ COMMITTED' ? act() : patiently<unknown>(store, act))))
      await retryWell(store, G, third.id)
    }
  })

  it('two that are handled again at the same moment, although one stands before the other, take turns as well', async () => {
    const { store, another } = await bench()
    const other = await another()
    for (let round = 0; round < 25; round++) {
      const [first, second, third] = [await failed(store), await failed(store), incoming('a')]
      await store.inbox.block(G, third)
      const one = await begun(store, first.id)
      const two = {
        ...one,
        ...second,
        version: (await store.inbox.beginRetry({ ...one, ...second, version: 1 }, 'p', 60_000))!,
      }
      const done = await Promise.all([
        settle(store, (tx) => store.inbox.completeRetry(tx, one)),
        settle(other, (tx) => other.inbox.completeRetry(tx, two)),
      ])
      expect(done).toEqual([true, true])
      await retryWell(store, G, third.id)
    }
  })

  // At SERIALIZABLE whatever is read is locked, and the gap where nothing was found.
  if (level !== 'SERIALIZABLE')
    it('handlers that have found nothing keep nobody waiting who records a failure', async () => {
      const { store, another } = await bench()
      const other = await another()
      const open = await holdOpen(store, async (tx) => {
        expect(await store.inbox.begin(tx, G, [incoming('a'), incoming('b')], true)).toEqual(['new', 'new'])
        await store.outbox.insert(tx, [outgoing('a')])
      })
      const [one, two] = [incoming('a'), incoming('c')]
      expect(await other.inbox.recordFailure(G, one, FAILED, RETRY_NOW, true)).toBe('recorded')
      expect(await other.inbox.recordFailure(G, two, FAILED, DEAD, true)).toBe('recorded')
      await other.transaction((tx) => other.inbox.begin(tx, G, [incoming('d')], true))
      await open.commit()
    })

  it('of many who begin the same messages in any order each message is new once, and nobody loses', async () => {
    const { store, another } = await bench()
    const stores = [store, await another(), await another()]
    const messages = Array.from({ length: 30 }, (_, i) => incoming(`key ${i}`))
    const outcomes = await Promise.all(
      stores
        .flatMap((one) => [messages, messages.toReversed()].map((list) => ({ one, list })))
        .map(({ one, list }) => one.transaction((tx) => one.inbox.begin(tx, G, list, false))),
    )
    expect(outcomes.flat().filter((outcome) => outcome === 'new')).toHaveLength(30)
    // Who comes again changes nothing that counts.
    const [first] = await store.transaction((tx) => store.inbox.begin(tx, G, [messages[0]!, incoming('z')], false))
    expect(first).toBe('duplicate')
  })

  describe('expiry', () => {
    const old = async ({ store, advance }: Bench, count: number): Promise<readonly InboxMessage[]> => {
      const messages = Array.from({ length: count }, () => incoming('a'))
      await store.transaction((tx) => store.inbox.begin(tx, G, messages, false))
      await advance(10_000)
      return messages
    }

    it('waits for no handler, whatever it has locked, and comes back to what it has left', async () => {
      const world = await bench()
      const { store, prefix } = world
      const [locked] = await old(world, 5)
      const open = await holdOpen(store, async (tx) => {
        await store.inbox.begin(tx, G, [incoming('b')], true)
        await tx.query(`SELECT 1 FROM ${prefix}inbox WHERE group_name = ? AND message_id = ? FOR UPDATE`, [
          G,
          locked!.id,
        ])
      })
      expect(await store.inbox.expire(5000, 3)).toBe(3)
      expect(await store.inbox.expire(5000, 3)).toBe(1)
      await open.rollBack()
      expect(await store.inbox.expire(5000, 3)).toBe(1)
    })

    it('and handlers keep each other from nothing', async () => {
      const world = await bench()
      const { store, another, advance } = world
      const other = await another()
      let expired = 0
      const expire = async (one: Store<Tx>): Promise<void> => {
        const count = await one.inbox.expire(5000, 100)
        expired += count
      }
      for (let round = 0; round < 10; round++) {
        await old(world, 50)
        await Promise.all([
          expire(store),
          expire(other),
          ...Array.from({ length: 5 }, () =>
            handle(store, async (tx) => {
              const messages = Array.from({ length: 10 }, () => incoming('c'))
              await store.inbox.begin(tx, G, messages, true)
              await store.outbox.insert(tx, [outgoing('c')])
            }),
          ),
        ])
      }
      await advance(10_000)
      for (let before = -1; before < expired; await expire(store)) before = expired
      expect(expired).toBe(1000)
      expect((await store.admin.overview()).inbox).toEqual([])
    })
  })
})

describe.skipIf(databases === undefined)('what the inbox on MySQL takes for the same', () => {
  const bench = benches(databases!)

  it('is what has the same bytes', async () => {
    const { store } = await bench()
    const all = [
      'id',
      'ID',
      'id ',
      ' id',
      'íd',
      'i\u0301d',
      'ｉｄ',
      'ß',
      'ss',
      '\u{1f600}',
      '\u{1f601}',
      'id\0',
      'id\t',
      '',
    ]
    const messages = all.map((id) => incoming(id, { id, topic: id, type: id }))
    const begin = () => store.transaction((tx) => store.inbox.begin(tx, G, messages, true))
    expect(new Set(await begin())).toEqual(new Set(['new']))
    expect(new Set(await begin())).toEqual(new Set(['duplicate']))
    const [first] = messages
    await store.inbox.recordFailure('other', first!, FAILED, RETRY_NOW, true)
    const others = messages.map((one) => ({ ...one, topic: 'id' }))
    const outcomes: string[] = []
    for (const one of others.slice(1)) outcomes.push(await store.inbox.block('other', one))
    expect(new Set(outcomes)).toEqual(new Set(['free']))
    expect(await store.inbox.state(`${G} `, 'id')).toBeUndefined()
    expect(await store.inbox.state(G.toUpperCase(), 'id')).toBeUndefined()
  })

  it('also where it is longer than an index can hold, or has halves of characters', async () => {
    const { store } = await bench()
    const long = Array.from({ length: 2000 }, (_, i) => (i * 7919).toString(36)).join('')
    const message = incoming(long, { id: long, topic: long, type: long, source: long })
    const begin = (one: InboxMessage) => store.transaction((tx) => store.inbox.begin(tx, G, [one], true))
    expect(await begin(message)).toEqual(['new'])
    expect(await begin(message)).toEqual(['duplicate'])
    const [first, second] = [incoming(`${long}1`, { id: `${long}1` }), incoming(`${long}1`, { id: `${long}2` })]
    await store.inbox.recordFailure(G, first, FAILED, RETRY_NOW, true)
    expect(await store.inbox.block(G, incoming(long))).toBe('free')
    expect(await store.inbox.block(G, second)).toBe('blocked')
    await retryWell(store, G, (await store.inbox.due([G], 1)).due[0]!.id)
    expect([await store.inbox.state(G, first.id), await store.inbox.state(G, second.id)]).toEqual([
      'handled',
      'retrying',
    ])
    expect(await store.admin.trace(second.id)).toHaveLength(1)

    const odd = 'a\u0000b\ud800'
    const strange = incoming(odd, { id: odd, type: odd, source: odd, headers: { note: odd }, sentAt: -1e15 })
    const attempt = { error: odd, stack: odd, process: 'host:1' }
    expect(await store.inbox.recordFailure(G, strange, attempt, DEAD, true)).toBe('recorded')
    expect(await store.inbox.recordFailure(G, strange, attempt, DEAD, true)).toBe('duplicate')
    const [letter] = await store.admin.deadLetters({ key: odd }, { limit: 10 })
    expect(letter).toMatchObject({ id: 'a\u0000b\ufffd', error: 'a\u0000b\ufffd' })
    const detail = await store.admin.deadLetter({ group: G, id: letter!.id })
    expect([detail?.headers, detail?.history.length]).toEqual([{ note: odd }, 1])
  })

  it('is told also by a library that counts rows which stay as they are', async () => {
    const { store } = await bench()
    const [one, two] = [incoming('a'), incoming('b')]
    const begin = (...list: InboxMessage[]) => store.transaction((tx) => store.inbox.begin(tx, G, list, false))
    expect(await begin(one)).toEqual(['new'])
    expect(await begin(one)).toEqual(['duplicate'])
    expect(await begin(two, one)).toEqual(['new', 'duplicate'])
    expect(await begin(one, two)).toEqual(['duplicate', 'duplicate'])
  })
})
