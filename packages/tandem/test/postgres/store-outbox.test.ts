// What is PostgreSQL's own in the outbox: transactions that commit in another order than they wrote, and rows that are deleted and stay.
import { describe, expect, it } from 'vitest'
import { holdOpen, ids, leaseShards, outgoing, seeded } from '../../src/conformance/store-kit.ts'
import { uuidv7 } from '../../src/core/ids.ts'
import type { Hold, Store } from '../../src/spi/store.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { benches, type Bench, type Tx } from './store-bench.ts'
import { storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

describe.skipIf(databases === undefined)('the outbox on PostgreSQL', () => {
  const { control } = databases!
  const makeBench = benches(databases!)

  interface OutboxBench extends Bench {
    send(...messages: Parameters<Store<Tx>['outbox']['insert']>[1]): Promise<void>
    /** A round of the relay whose broker takes everything; gives what it published. */
    relay(limit?: number): Promise<readonly string[]>
  }

  async function bench(): Promise<OutboxBench> {
    const made = await makeBench()
    const { store, fences } = made
    return {
      ...made,
      send: (...messages) => store.transaction((tx) => store.outbox.insert(tx, messages)),
      relay: async (limit = 100) => {
        const messages = await store.outbox.read(fences, limit)
        await store.outbox.remove(fences, messages)
        return ids(messages)
      },
    }
  }

  describe('a transaction that took a lower position and commits later', () => {
    it('is not skipped, however much was published before', async () => {
      const { store, send, relay } = await bench()
      const late = outgoing('late')
      const open = await holdOpen(store, (tx) => store.outbox.insert(tx, [late]))
      for (let round = 0; round < 20; round++) {
        const messages = [outgoing('a'), outgoing('b')]
        await send(...messages)
        expect(await relay()).toEqual(ids(messages))
      }
      expect(await relay()).toEqual([])
      await open.commit()
      expect(await relay()).toEqual([late.id])
      expect(await relay()).toEqual([])
    })

    it('is published before what its key sent after it', async () => {
      const { store, send, relay } = await bench()
      const first = outgoing('a')
      const open = await holdOpen(store, (tx) => store.outbox.insert(tx, [first]))
      for (let round = 0; round < 10; round++) {
        await send(outgoing('b'))
        await relay()
      }
      await open.commit()
      const second = outgoing('a')
      await send(second)
      expect(await relay()).toEqual([first.id, second.id])
    })

    it('is found by a transaction id that it got before it sent, and when it ends without a message nothing is', async () => {
      const { store, schema, send, relay } = await bench()
      await control.run(`CREATE TABLE ${schema}.orders (n int)`)
      const message = outgoing('late')
      const write = (tx: Tx): Promise<unknown> => tx.query(`INSERT INTO ${schema}.orders VALUES (1)`)
      const [sends, stays] = [await holdOpen(store, write), await holdOpen(store, write)]
      for (let round = 0; round < 5; round++) {
        await send(outgoing('b'))
        await relay()
      }
      await sends.rollBack()
      const open = await holdOpen(store, async (tx) => {
        await write(tx)
        await store.outbox.insert(tx, [message])
      })
      await send(outgoing('b'))
      await relay()
      await stays.commit()
      expect(await relay()).toEqual([])
      await open.commit()
      expect(await relay()).toEqual([message.id])
    })

    it('nothing is lost and each key keeps its order, with many senders at once', async () => {
      const { schema, store, fences } = await bench()
      const keys = Array.from({ length: 8 }, (_, i) => `key ${i}`)
      await control.run(`CREATE TABLE ${schema}.business (key text PRIMARY KEY, sent int NOT NULL DEFAULT 0)`)
      for (const key of keys) await control.run(`INSERT INTO ${schema}.business VALUES ($1)`, [key])
      const random = seeded(7)
      const committed = new Map<string, string[]>(keys.map((key) => [key, []]))
      let left = 300

      const sender = async (): Promise<void> => {
        while (left-- > 0) {
          const key = keys[Math.floor(random() * keys.length)]!
          const message = outgoing(key)
          const fails = random() < 0.1
          const sending = store.transaction(async (tx) => {
            if (random() < 0.5) await store.outbox.insert(tx, [outgoing(undefined)])
            await tx.query(`UPDATE ${schema}.business SET sent = sent + 1 WHERE key = $1`, [key])
            await store.outbox.insert(tx, [message])
            if (random() < 0.3) await tx.query('SELECT count(*) FROM generate_series(1, 20000)')
            if (fails) throw new Error('rolled back')
            // The row's lock is still held: this is the order in which they commit.
            committed.get(key)!.push(message.id)
          })
          await sending.catch((error: unknown) => expect(String(error)).toBe('Error: rolled back'))
        }
      }
      const published: { readonly id: string; readonly key: string | undefined }[] = []
      const relay = async (): Promise<number> => {
        const messages = await store.outbox.read(fences, 20)
        published.push(...messages)
        await store.outbox.remove(fences, messages)
        return messages.length
      }
      const first = outgoing(keys[0])
      const open = await holdOpen(store, async (tx) => {
        await store.outbox.insert(tx, [outgoing(undefined), first])
        // The others of this key wait for the lock of the business row in the meantime.
        await tx.query(`UPDATE ${schema}.business SET sent = sent + 1 WHERE key = $1`, [keys[0]])
      })
      committed.get(keys[0]!)!.push(first.id)
      const sending = Promise.all(Array.from({ length: 6 }, sender))
      for (let rounds = 0; rounds < 20; rounds++) await relay()
      await open.commit()
      let sent = false
      void sending.then(() => (sent = true))
      while (!sent || (await relay()) > 0) await relay()
      await sending
      expect(await control.run(`SELECT count(*)::int AS left FROM ${schema}.outbox`)).toEqual([{ left: 0 }])
      expect(new Set(ids(published)).size).toBe(published.length)
      for (const key of keys) {
        expect(ids(published.filter((message) => message.key === key))).toEqual(committed.get(key))
      }
    })
  })

  describe('while deleted rows cannot be vacuumed', () => {
    /** How many pages the last look at the outbox takes. */
    async function pagesOfLook({ spy, store, fences }: Bench): Promise<number> {
      await store.outbox.read(fences, 100)
      const last = spy.statements.findLastIndex((one) => one.startsWith('WITH look'))
      const [sql, params] = [spy.statements[last]!, spy.params[last]!]
      const [row] = await control.run(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${sql}`, params)
      const plan = (row!['QUERY PLAN'] as { Plan: Record<string, number> }[])[0]!.Plan
      return plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!
    }

    const opened = {
      'only reads': 'SELECT count(*) FROM pg_class',
      'has written': 'CREATE TEMPORARY TABLE written (n int)',
    }

    it.each(Object.entries(opened))(
      'because a transaction that %s is open, a look costs the same',
      async (_, first) => {
        const world = await bench()
        const { store, schema, fences, send, relay, spy, client: newClient } = world
        const client = await newClient()
        const before = await pagesOfLook(world)
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
        await client.query(first)
        try {
          await control.run(
            `INSERT INTO ${schema}.outbox (shard, written_at, id, topic, key, type, headers, body)
            SELECT n % 16, now(), n, 't', n, 't', '{}', '' FROM generate_series(1, 100000) n`,
          )
          for (let rounds = 0; (await relay(5000)).length > 0; rounds++) expect(rounds).toBeLessThan(25)
          for (let rounds = 0; rounds < 3; rounds++) {
            await send(outgoing('a'))
            expect(await relay()).toHaveLength(1)
          }
          // All of them are still there.
          const [{ pages } = { pages: 0 }] = await control.run(
            `SELECT pg_relation_size('${schema}.outbox') / 8192 AS pages`,
          )
          expect(Number(pages)).toBeGreaterThan(1000)
          expect(await pagesOfLook(world)).toBeLessThan(before + 50)
          // A relay that has just begun, with nothing to do, looks twice from the beginning and then knows.
          const fresh = { ...world, store: postgres(spy.driver, { schema }) }
          await fresh.store.open({ service: 'test' })
          const looks = [await pagesOfLook(fresh), await pagesOfLook(fresh), await pagesOfLook(fresh)]
          expect(Math.min(...looks.slice(0, 2))).toBeGreaterThan(500)
          expect(looks[2]).toBeLessThan(50)
        } finally {
          await client.query('ROLLBACK')
          client.release()
        }
        await send(outgoing('b'))
        expect(await store.outbox.read(fences, 100)).toHaveLength(1)
      },
    )
  })

  describe('fencing, at the same moment', () => {
    it('who is being taken over waits, and then changes nothing', async () => {
      const { schema, store, fences, send, someoneWaits, client: newClient } = await bench()
      await send(outgoing('a'), outgoing('b'))
      const messages = await store.outbox.read(fences, 10)
      const client = await newClient()
      for (const act of ['remove', 'hold'] as const) {
        await client.query('BEGIN')
        await client.query(`SELECT 1 FROM ${schema}.lease ORDER BY name FOR UPDATE`)
        const hold: Hold = { position: messages[0]!.position, state: 'unsendable', delay: 0, error: 'x' }
        const acting = act === 'remove' ? store.outbox.remove(fences, messages) : store.outbox.hold(fences, [hold])
        const refused = expect(acting).rejects.toMatchObject({ code: 'LEASE_LOST' })
        await someoneWaits()
        await client.query(`UPDATE ${schema}.lease SET token = token + 1, owner = 'another' WHERE name = 'relay/3'`)
        await client.query('COMMIT')
        await refused
        expect(await control.run(`SELECT count(*)::int AS n FROM ${schema}.outbox`)).toEqual([{ n: 2 }])
        await client.query(`UPDATE ${schema}.lease SET token = token - 1 WHERE name = 'relay/3'`)
      }
      client.release()
      await store.outbox.remove(fences, messages)
    })

    it('nobody takes over while something is being changed', async () => {
      const { schema, store, fences, another, advance, someoneWaits, client: newClient } = await bench()
      const sibling = await another()
      const client = await newClient()
      await client.query('BEGIN')
      // As a step that is under way has it.
      await client.query(`SELECT 1 FROM ${schema}.lease FOR SHARE`)
      await advance(1e9)
      const other = { id: uuidv7(), host: 'other', pid: 2 }
      let taken = false
      const taking = leaseShards(sibling, other, 1000).then((list) => {
        taken = true
        return list
      })
      await someoneWaits()
      expect(taken).toBe(false)
      await client.query('COMMIT')
      client.release()
      const now = await taking
      expect(now).toHaveLength(16)
      for (const [i, fence] of now.entries()) expect(fence.token).toBe(fences[i]!.token + 1)
      await expect(store.outbox.remove(fences, [{} as never])).rejects.toMatchObject({ code: 'LEASE_LOST' })
    })

    it('leases are shared out whoever asks in whatever order', async () => {
      const { store, another, schema } = await bench()
      const stores = [store, await another(), await another()]
      await control.run(`DELETE FROM ${schema}.lease`)
      const names = Array.from({ length: 30 }, (_, i) => `work/${i}`)
      const processes = stores.map((_, i) => ({ id: uuidv7(), host: 'test', pid: i }))
      for (let round = 0; round < 10; round++) {
        const lists = await Promise.all(
          stores.map((one, i) => one.leases.exchange(processes[i]!, [i % 2 === 0 ? names : names.toReversed()], 1e9)),
        )
        const held = lists.flat().map(({ name }) => name)
        expect(new Set(held).size).toBe(held.length)
        if (round === 5) await stores[0]!.leases.release(processes[0]!)
      }
    })
  })

  it('who sets messages aside and who gives one up wait for each other', async () => {
    const { schema, store, fences, another, send, client, someoneWaits } = await bench()
    const sibling = await another()
    await send(outgoing('a'), outgoing('a'))
    const [first, second] = await store.outbox.read(fences, 10)
    await store.outbox.hold(fences, [{ position: first!.position, state: 'unsendable', delay: 0, error: 'x' }])
    const tx = await client()
    const acts = [
      () => store.outbox.hold(fences, [{ position: second!.position, state: 'behind', delay: 0, error: undefined }]),
      () => sibling.admin.discardHeld(first!.id, { by: 'test' }),
    ]
    for (const act of acts) {
      await tx.query('BEGIN')
      await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('tandem ${schema} held', $1))`, [first!.shard])
      const acting = act()
      await someoneWaits()
      await tx.query('COMMIT')
      await acting
    }
    tx.release()
    expect(ids(await store.outbox.read(fences, 10))).toEqual([second!.id])
  })

  it('what is set aside behind a message that a person gives up at the same moment comes back', async () => {
    const { schema, store, fences, another, send } = await bench()
    const sibling = await another()
    for (let round = 0; round < 25; round++) {
      await send(outgoing('a'), outgoing('a'))
      const [first, second] = await store.outbox.read(fences, 10)
      await store.outbox.hold(fences, [{ position: first!.position, state: 'unsendable', delay: 0, error: 'x' }])
      const behind: Hold = { position: second!.position, state: 'behind', delay: 0, error: undefined }
      await Promise.all([store.outbox.hold(fences, [behind]), sibling.admin.discardHeld(first!.id, { by: 'test' })])
      expect(await control.run(`SELECT state FROM ${schema}.outbox_held`)).toEqual([])
      const left = await store.outbox.read(fences, 10)
      expect(ids(left)).toEqual([second!.id])
      await store.outbox.remove(fences, left)
    }
  })

  describe('strict order', () => {
    it('a sender of a key waits for the one before, and gets the later place', async () => {
      const { store, relay, someoneWaits } = await bench()
      const [first, second] = [outgoing('a', { strictOrder: true }), outgoing('a', { strictOrder: true })]
      const open = await holdOpen(store, (tx) => store.outbox.insert(tx, [first]))
      const waiting = store.transaction((tx) => store.outbox.insert(tx, [second]))
      await someoneWaits()
      const free = outgoing('b', { strictOrder: true })
      await store.transaction((tx) => store.outbox.insert(tx, [free]))
      expect(await relay()).toEqual([free.id])
      await open.commit()
      await waiting
      expect(await relay()).toEqual([first.id, second.id])
    })

    it('senders of the same keys in another order do not block each other', async () => {
      const { store, relay } = await bench()
      const strict = (...keys: string[]) => keys.map((key) => outgoing(key, { strictOrder: true }))
      const many = Array.from({ length: 30 }, (_, i) => `key ${i}`)
      for (let round = 0; round < 10; round++) {
        await Promise.all([
          store.transaction((tx) => store.outbox.insert(tx, strict(...many))),
          store.transaction((tx) => store.outbox.insert(tx, strict(...many.toReversed()))),
          store.transaction((tx) => store.outbox.insert(tx, strict('key 3', 'key 1'))),
        ])
      }
      expect(await relay(1000)).toHaveLength(620)
    })
  })

  it('messages of others may hold what PostgreSQL cannot store', async () => {
    const { store, send, fences } = await bench()
    const odd = 'a\u0000b\ud800'
    await send(outgoing(odd, { type: odd, topic: odd, headers: { note: odd } }), outgoing('a'))
    await send(...Array.from({ length: 20 }, () => outgoing(odd, { headers: { note: odd } })))
    const [first] = await store.outbox.read(fences, 100)
    expect(first).toMatchObject({ key: 'a\ufffdb\ufffd', type: 'a\ufffdb\ufffd', headers: { note: odd } })
    const holds = (await store.outbox.read(fences, 100)).map(({ position }): Hold => {
      return { position, state: 'unsendable', delay: 0, error: odd }
    })
    await store.outbox.hold(fences, holds)
    const [row] = await store.admin.heldMessages({}, { limit: 1 })
    expect(row?.error).toBe('a\ufffdb\ufffd')
  })
})
