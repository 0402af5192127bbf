// What is MySQL's own in the outbox: transactions that commit in another order than they wrote, and rows that are deleted and stay.
import { describe, expect, it } from 'vitest'
import { holdOpen, ids, leaseShards, outgoing, seeded } from '../../src/conformance/store-kit.ts'
import { uuidv7 } from '../../src/core/ids.ts'
import type { Hold, Store } from '../../src/spi/store.ts'
import { benches, type Bench, type Tx } from './store-bench.ts'
import { storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()

describe.skipIf(databases === undefined)('the outbox on MySQL', () => {
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

    it('is published before what its key sent after it, also when the looks have gone on past it', async () => {
      const { store, send, relay, spy } = await bench()
      const first = outgoing('a')
      const open = await holdOpen(store, (tx) => store.outbox.insert(tx, [first]))
      const wentOn = (): boolean => spy.statements.some((sql) => sql.includes('o.position <= '))
      // Until a look at what is not committed has been taken, and some more.
      for (let after = 0; after < 3; after += wentOn() ? 1 : 0) {
        await send(...Array.from({ length: 400 }, () => outgoing('b')))
        expect(await relay(1000)).toHaveLength(400)
      }
      await open.commit()
      const second = outgoing('a')
      await send(second)
      expect(await relay()).toEqual([first.id, second.id])
      const last = spy.params.findLast((_, i) => spy.statements[i]!.includes('place.position'))
      // The looks began above it.
      expect(Number(last?.[0])).toBeGreaterThan(300)
    })

    it('nothing is lost and each key keeps its order, with many senders at once', async () => {
      const { prefix, store, fences, client } = await bench()
      const keys = Array.from({ length: 8 }, (_, i) => `key ${i}`)
      await control.run(`CREATE TABLE ${prefix}business (name VARCHAR(20) PRIMARY KEY, sent INT NOT NULL DEFAULT 0)`)
      for (const key of keys) await control.run(`INSERT INTO ${prefix}business (name) VALUES (?)`, [key])
      const random = seeded(7)
      const committed = new Map<string, string[]>(keys.map((key) => [key, []]))
      let left = 300
      const touch = (tx: Tx, key: string): Promise<unknown> =>
        tx.query(`UPDATE ${prefix}business SET sent = sent + 1 WHERE name = ?`, [key])

      const sender = async (): Promise<void> => {
        while (left-- > 0) {
          const key = keys[Math.floor(random() * keys.length)]!
          const message = outgoing(key)
          const fails = random() < 0.1
          const sending = store.transaction(async (tx) => {
            if (random() < 0.5) await store.outbox.insert(tx, [outgoing(undefined)])
            await touch(tx, key)
            await store.outbox.insert(tx, [message])
            if (random() < 0.3) await tx.query(`SELECT count(*) FROM ${prefix}turn`)
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
        await touch(tx, keys[0]!)
      })
      committed.get(keys[0]!)!.push(first.id)
      const sending = Promise.all(Array.from({ length: 6 }, sender))
      for (let rounds = 0; rounds < 20; rounds++) await relay()
      await open.commit()
      let sent = false
      void sending.then(() => (sent = true))
      while (!sent || (await relay()) > 0) await relay()
      await sending
      ;(await client()).release()
      expect(await control.run(`SELECT count(*) AS n FROM ${prefix}outbox`)).toEqual([{ n: 0 }])
      expect(new Set(ids(published)).size).toBe(published.length)
      for (const key of keys) {
        expect(ids(published.filter((message) => message.key === key))).toEqual(committed.get(key))
      }
    })
  })

  it('the relay waits for no sender: it deletes what it has published, and nothing else is locked', async () => {
    const { store, send, relay, prefix, client } = await bench()
    await send(outgoing('a'))
    const open = await holdOpen(store, (tx) => store.outbox.insert(tx, [outgoing('b')]))
    await send(outgoing('c'))
    expect(await relay()).toHaveLength(2)
    // And whoever counts, with whatever locks, does not keep it waiting.
    const reader = await client()
    await reader.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
    await reader.query(`SELECT count(*) FROM ${prefix}outbox`)
    await send(outgoing('d'))
    expect(await relay()).toHaveLength(1)
    await reader.query('ROLLBACK')
    reader.release()
    await open.commit()
    expect(await relay()).toHaveLength(1)
  })

  describe('fencing, at the same moment', () => {
    it('who is being taken over waits, and then changes nothing', async () => {
      const { prefix, store, fences, send, someoneWaits, client: newClient } = await bench()
      await send(outgoing('a'), outgoing('b'))
      const messages = await store.outbox.read(fences, 10)
      const client = await newClient()
      for (const act of ['remove', 'hold'] as const) {
        await client.query('BEGIN')
        await client.query(`SELECT 1 FROM ${prefix}lease ORDER BY name FOR UPDATE`)
        const hold: Hold = { position: messages[0]!.position, state: 'unsendable', delay: 0, error: 'x' }
        const acting = act === 'remove' ? store.outbox.remove(fences, messages) : store.outbox.hold(fences, [hold])
        const refused = expect(acting).rejects.toMatchObject({ code: 'LEASE_LOST' })
        await someoneWaits()
        await client.query(`UPDATE ${prefix}lease SET token = token + 1, owner = 'another' WHERE name = 'relay/3'`)
        await client.query('COMMIT')
        await refused
        expect(await control.run(`SELECT count(*) AS n FROM ${prefix}outbox`)).toEqual([{ n: 2 }])
        await client.query(`UPDATE ${prefix}lease SET token = token - 1 WHERE name = 'relay/3'`)
      }
      client.release()
      await store.outbox.remove(fences, messages)
    })

    it('nobody takes over while something is being changed', async () => {
      const { prefix, store, fences, another, advance, someoneWaits, client: newClient } = await bench()
      const sibling = await another()
      const client = await newClient()
      await client.query('BEGIN')
      // As a step that is under way has it.
      await client.query(`SELECT 1 FROM ${prefix}lease LOCK IN SHARE MODE`)
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
      const { store, another, prefix } = await bench()
      const stores = [store, await another(), await another()]
      await control.run(`DELETE FROM ${prefix}lease`)
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

  it('what is set aside behind a message that a person gives up at the same moment comes back', async () => {
    const { prefix, store, fences, another, send } = await bench()
    const sibling = await another()
    for (let round = 0; round < 25; round++) {
      await send(outgoing('a'), outgoing('a'))
      const [first, second] = await store.outbox.read(fences, 10)
      await store.outbox.hold(fences, [{ position: first!.position, state: 'unsendable', delay: 0, error: 'x' }])
      const behind: Hold = { position: second!.position, state: 'behind', delay: 0, error: undefined }
      await Promise.all([store.outbox.hold(fences, [behind]), sibling.admin.discardHeld(first!.id, { by: 'test' })])
      expect(await control.run(`SELECT state FROM ${prefix}outbox_held`)).toEqual([])
      const left = await store.outbox.read(fences, 10)
      expect(ids(left)).toEqual([second!.id])
      await store.outbox.remove(fences, left)
      expect(await control.run(`SELECT position FROM ${prefix}outbox_back`)).toEqual([])
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

  it('keys that a collation would take for one are different', async () => {
    const { store, fences, send } = await bench()
    const keys = ['a', 'a ', 'A', 'á', 'a\u0301', 'ａ', 'ß', 'ss', '\u{1f600}', '\u{1f601}']
    await send(...keys.map((key) => outgoing(key)))
    const messages = await store.outbox.read(fences, 100)
    expect(messages.map(({ key }) => key)).toEqual(keys)
    await store.outbox.hold(fences, [{ position: messages[0]!.position, state: 'unsendable', delay: 0, error: 'x' }])
    await send(...keys.map((key) => outgoing(key)))
    const behind = (await store.outbox.read(fences, 100)).filter((one) => one.behindHeld)
    expect(behind.map(({ key }) => key)).toEqual(['a'])
  })

  it('messages of others may hold what UTF-8 cannot', async () => {
    const { store, send, fences } = await bench()
    const odd = 'a\u0000b\ud800\\\'"'
    await send(outgoing(odd, { type: odd, topic: odd, headers: { note: odd } }), outgoing('a'))
    const [first] = await store.outbox.read(fences, 100)
    const well = 'a\u0000b\ufffd\\\'"'
    expect(first).toMatchObject({ key: well, type: well, topic: well, headers: { note: odd } })
    const holds = (await store.outbox.read(fences, 100)).map(({ position }): Hold => {
      return { position, state: 'unsendable', delay: 0, error: odd }
    })
    await store.outbox.hold(fences, holds)
    const [row] = await store.admin.heldMessages({}, { limit: 1 })
    expect(row?.error).toBe(well)
  })

  it('many large messages go in several statements, and one that the server would not take is refused', async () => {
    const { store, send, spy, relay } = await bench()
    const [{ most } = { most: 0 }] = await control.run('SELECT @@max_allowed_packet AS most')
    const body = new Uint8Array(Number(most) / 8).fill(7)
    const first = spy.statements.length
    const messages = Array.from({ length: 10 }, () => outgoing('a', { body }))
    await send(...messages)
    expect(spy.statements.slice(first).length).toBeGreaterThan(2)
    expect(await relay()).toEqual(ids(messages))
    const large = send(outgoing('a', { body: new Uint8Array(Number(most) / 2) }))
    await expect(large).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('max_allowed_packet') as string,
    })
    expect(await store.admin.overview()).toMatchObject({ outbox: { unsent: 0 } })
  })
})
