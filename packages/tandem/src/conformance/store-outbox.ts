import assert from 'node:assert/strict'
import { uuidv7 } from '../core/ids.ts'
import type { OutboxMessage, ShardFence } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import { rejectsWith } from './driver-kit.ts'
import {
  holdOpen,
  ids,
  leaseShards,
  outgoing,
  rolledBack,
  storeCases,
  type StoreBench,
  type StoreConformanceOptions,
} from './store-kit.ts'

const stale = (fences: readonly ShardFence[]): ShardFence[] =>
  fences.map((fence) => ({ ...fence, token: fence.token - 1 }))

/** Messages from the local transaction to the relay, as long as nothing goes wrong with one of them. */
export function outboxCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'outbox')
  const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', undefined]
  const dueAt = async ({ store }: StoreBench<Tx>, ms: number): Promise<Date> =>
    new Date((await store.admin.overview()).now + ms)

  return [
    it('what is read is what was written', async ({ send, unsent }) => {
      const sent = [
        outgoing('key "1"\n'),
        outgoing(undefined),
        outgoing('ключ', { body: new Uint8Array(0), headers: {} }),
      ]
      await send(...sent)
      for (const [i, read] of (await unsent()).entries()) {
        const { id, topic, type, key, headers, body } = read
        assert.deepEqual({ id, topic, type, key, headers, body: new Uint8Array(body) }, contentOf(sent[i]!))
        assert.deepEqual([read.attempts, read.failingFor, read.behindHeld], [0, 0, false])
      }
      assert.deepEqual(ids(await unsent()), ids(sent))
    }),

    it('a transaction that is rolled back leaves nothing', async ({ store, send, unsent }) => {
      await rolledBack(store, (tx) => store.outbox.insert(tx, [outgoing('a'), outgoing('b')]))
      assert.deepEqual(await unsent(), [])
      const kept = outgoing('a')
      await send(kept)
      assert.deepEqual(ids(await unsent()), [kept.id])
    }),

    it('nothing is seen of a transaction that is still open', async ({ store, other, lease, unsent }) => {
      // A store that has one connection reads when the transaction has ended.
      if (other === store) return
      const fences = await lease()
      const open = await holdOpen(store, (tx) => store.outbox.insert(tx, [outgoing('a')]))
      assert.deepEqual(await other.outbox.read(fences, 10), [])
      await open.commit()
      assert.equal((await unsent()).length, 1)
    }),

    it('no message at all is no statement at all', async ({ store, lease }) => {
      const fences = await lease()
      await store.transaction((tx) => store.outbox.insert(tx, []))
      await store.outbox.remove(fences, [])
      await store.outbox.hold(fences, [])
      assert.deepEqual(await store.outbox.read([], 10), [])
    }),

    it('takes many messages at once and gives the oldest first, up to the limit', async ({ store, send, lease }) => {
      const sent = Array.from({ length: 5000 }, (_, i) => outgoing(KEYS[i % KEYS.length], { body: new Uint8Array(2) }))
      await send(...sent)
      const read = await store.outbox.read(await lease(), 100)
      assert.deepEqual(ids(read), ids(sent.slice(0, 100)))
      const positions = read.map(({ position }) => position)
      assert.deepEqual(
        positions,
        positions.toSorted((a, b) => a - b),
      )
    }),

    it('positions ascend, also when the outbox was empty in between', async ({ store, send, lease, unsent }) => {
      const seen: number[] = []
      for (let round = 0; round < 3; round++) {
        await send(outgoing('a'), outgoing('a'))
        const messages = await unsent()
        seen.push(...messages.map(({ position }) => position))
        await store.outbox.remove(await lease(), messages)
      }
      assert.ok(
        seen.every((position, i) => i === 0 || position > (seen[i - 1] ?? Infinity)),
        seen.join(),
      )
    }),

    it('each message is in one shard, that of its key, and is read by who has that shard', async (bench) => {
      const { store, send, lease } = bench
      const sent = Array.from({ length: 200 }, (_, i) => outgoing(KEYS[i % KEYS.length]))
      await send(...sent)
      const all: OutboxMessage[] = []
      for (const fence of await lease()) {
        const read = await store.outbox.read([fence], 1000)
        assert.ok(read.every(({ shard }) => shard === fence.shard))
        assert.deepEqual(ids(await store.outbox.read([fence], 3)), ids(read.slice(0, 3)), 'oldest first')
        all.push(...read)
      }
      assert.deepEqual(ids(all).toSorted(), ids(sent).toSorted())
      for (const key of KEYS.slice(0, -1)) {
        const ofKey = all.filter((message) => message.key === key)
        assert.equal(new Set(ofKey.map(({ shard }) => shard)).size, 1)
        assert.deepEqual(ids(ofKey), ids(sent.filter((message) => message.key === key)), 'in the order of the key')
      }
    }),

    it('several shards together give the oldest of each', async ({ store, send, lease }) => {
      await send(...Array.from({ length: 200 }, () => outgoing(undefined)))
      const some = (await lease()).slice(0, 3)
      const together = await store.outbox.read(some, 10_000)
      const apart = (await Promise.all(some.map((fence) => store.outbox.read([fence], 10_000)))).flat()
      assert.deepEqual(ids(together).toSorted(), ids(apart).toSorted())
      assert.ok(apart.length > 0)
      const few = await store.outbox.read(some, 5)
      for (const fence of some) {
        const inShard = (message: OutboxMessage): boolean => message.shard === fence.shard
        const oldest = ids(apart.filter(inShard))
        assert.deepEqual(ids(few.filter(inShard)), oldest.slice(0, few.filter(inShard).length))
      }
    }),

    it('remove deletes what was published and nothing else', async ({ store, send, lease, unsent }) => {
      const sent = [outgoing('a'), outgoing('a'), outgoing('b')]
      await send(...sent)
      const messages = await unsent()
      await store.outbox.remove(await lease(), [messages[0]!, messages[2]!])
      assert.deepEqual(ids(await unsent()), [sent[1]!.id])
      await store.outbox.remove(await lease(), messages)
      assert.deepEqual(await unsent(), [], 'removing what is gone is no error')
    }),

    it('a relay with a stale fence changes nothing', async (bench) => {
      const { store, other, send, lease, advance, unsent } = bench
      await send(outgoing('a'), outgoing('b', { deliverAt: await dueAt(bench, 500) }))
      const fences = await leaseShards(store, { id: uuidv7(), host: 'conformance', pid: 7 }, 1000)
      const messages = await store.outbox.read(fences, 10)
      assert.equal(messages.length, 1)
      await advance(1001)
      const hold = { position: messages[0]!.position, state: 'unsendable', delay: 0, error: 'x' } as const
      const changesNothing = async (old: readonly ShardFence[]): Promise<void> => {
        await rejectsWith(store.outbox.remove(old, messages), 'LEASE_LOST')
        await rejectsWith(store.outbox.hold(old, [hold]), 'LEASE_LOST')
        await rejectsWith(store.outbox.promote(old, 10), 'LEASE_LOST')
      }
      // Expired, and taken over by somebody else.
      await changesNothing(fences)
      const current = await leaseShards(other, { id: uuidv7(), host: 'conformance', pid: 8 }, 1000)
      await changesNothing(fences)
      // One stale fence among good ones is enough.
      await changesNothing([...current.slice(1), ...stale(current.slice(0, 1))])
      assert.deepEqual(ids(await store.outbox.read(current, 10)), ids(messages))
      assert.equal((await store.admin.heldMessages({ state: 'delayed' }, { limit: 10 })).length, 1)
      await advance(1001)
      await store.outbox.remove(await lease(), messages)
      assert.deepEqual(await unsent(), [])
    }),

    it('a relay cannot delete what is in a shard that it has no fence for', async ({ store, send, lease, unsent }) => {
      await send(outgoing('a'))
      const fences = await lease()
      const [message] = await unsent()
      const others = fences.filter(({ shard }) => shard !== message!.shard)
      await store.outbox.remove(others, [message!]).catch(() => undefined)
      const hold = { position: message!.position, state: 'unsendable', delay: 0, error: 'x' } as const
      await store.outbox.hold(others, [hold]).catch(() => undefined)
      assert.deepEqual(ids(await unsent()), [message!.id])
    }),

    it('a delayed message comes when it is due, and takes its place then', async (bench) => {
      const { store, advance, send, lease, unsent } = bench
      const fences = await lease()
      assert.deepEqual(await store.outbox.promote(fences, 10), { promoted: 0, nextIn: undefined })
      const late = outgoing('a', { deliverAt: await dueAt(bench, 60_000) })
      const later = outgoing('b', { deliverAt: await dueAt(bench, 120_000) })
      const past = outgoing('a', { deliverAt: await dueAt(bench, -1) })
      await send(later, late, past)
      assert.deepEqual(ids(await unsent()), [past.id])
      const { promoted, nextIn } = await store.outbox.promote(fences, 10)
      assert.equal(promoted, 0)
      assert.ok(nextIn !== undefined && nextIn > 0 && nextIn <= 60_000, `nextIn ${nextIn}`)
      const between = outgoing('a')
      await advance(30_000)
      await send(between)
      await advance(30_000)
      assert.equal((await store.outbox.promote(fences, 10)).promoted, 1)
      assert.deepEqual(ids(await unsent()), [past.id, between.id, late.id])
      await advance(60_000)
      assert.deepEqual(await store.outbox.promote(fences, 10), { promoted: 1, nextIn: undefined })
      assert.deepEqual(ids(await unsent()), [past.id, between.id, late.id, later.id])
    }),

    it('delayed messages come in the order in which they are due, up to the limit', async (bench) => {
      const { store, advance, send, lease, unsent } = bench
      const fences = await lease()
      const delays = [5000, 3000, 4000, 1000, 2000]
      const sent = await Promise.all(
        delays.map(async (ms) => outgoing('a', { deliverAt: await dueAt(bench, ms), id: `after-${ms}-${uuidv7()}` })),
      )
      await send(...sent)
      await advance(10_000)
      assert.deepEqual(await store.outbox.promote(fences, 2), { promoted: 2, nextIn: 0 })
      assert.deepEqual(await store.outbox.promote(fences, 10), { promoted: 3, nextIn: undefined })
      assert.deepEqual(
        ids(await unsent()),
        [3, 4, 1, 2, 0].map((i) => sent[i]!.id),
      )
    }),

    it('a relay promotes what is in its own shards', async (bench) => {
      const { store, advance, send, lease, unsent } = bench
      const fences = await lease()
      const deliverAt = await dueAt(bench, 1000)
      await send(...Array.from({ length: 50 }, () => outgoing(undefined, { deliverAt })))
      await advance(1000)
      const { promoted } = await store.outbox.promote(fences.slice(0, 1), 100)
      assert.ok(promoted < 50)
      assert.ok((await unsent()).every(({ shard }) => shard === fences[0]!.shard))
      assert.equal((await store.outbox.promote(fences, 100)).promoted, 50 - promoted)
    }),
  ]
}

function contentOf({ id, topic, type, key, headers, body }: ReturnType<typeof outgoing>): unknown {
  return { id, topic, type, key, headers, body: new Uint8Array(body) }
}
