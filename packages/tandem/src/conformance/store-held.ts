import assert from 'node:assert/strict'
import type { Hold, OutboxMessage } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import { ACT, ids, outgoing, storeCases, type StoreBench, type StoreConformanceOptions } from './store-kit.ts'
import { walkOutbox } from './store-walk-outbox.ts'

/** Messages that cannot be published, and the order of their keys. */
export function heldCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'held messages')

  const hold = async (bench: StoreBench<Tx>, message: OutboxMessage, how: Partial<Hold>): Promise<void> => {
    const { position } = message
    const wanted: Hold = { position, state: 'waiting', delay: 0, error: 'Error: no', ...how }
    await bench.store.outbox.hold(await bench.lease(), [wanted])
  }
  const promote = async (bench: StoreBench<Tx>): Promise<number> =>
    (await bench.store.outbox.promote(await bench.lease(), 1000)).promoted
  const remove = async (bench: StoreBench<Tx>, ...messages: readonly OutboxMessage[]): Promise<void> =>
    bench.store.outbox.remove(await bench.lease(), messages)
  /** Sends `count` messages of key `a`, sets the first aside and lets the others wait behind it. */
  const heldWithOthersBehind = async (
    bench: StoreBench<Tx>,
    count: number,
    how: Partial<Hold>,
  ): Promise<readonly OutboxMessage[]> => {
    await bench.send(...Array.from({ length: count }, () => outgoing('a')))
    const messages = await bench.unsent()
    const holds = messages.map(({ position }, i): Hold => {
      const behind: Hold = { position, state: 'behind', delay: 0, error: undefined }
      return i === 0 ? { position, state: 'waiting', delay: 0, error: 'Error: no', ...how } : behind
    })
    await bench.store.outbox.hold(await bench.lease(), holds)
    assert.deepEqual(await bench.unsent(), [])
    return messages
  }

  return [
    it('a waiting message comes back after its delay, to its old place', async (bench) => {
      const { store, advance, send, unsent, lease } = bench
      await send(outgoing('a'), outgoing('b'))
      const [first, second] = await unsent()
      await hold(bench, first!, { delay: 1000 })
      assert.deepEqual(ids(await unsent()), [second!.id])
      const { promoted, nextIn } = await store.outbox.promote(await lease(), 10)
      assert.ok(promoted === 0 && nextIn !== undefined && nextIn > 0 && nextIn <= 1000)
      await advance(1000)
      assert.equal(await promote(bench), 1)
      const [back, still] = await unsent()
      assert.deepEqual([back!.position, back!.attempts, back!.behindHeld], [first!.position, 1, false])
      assert.equal(still!.id, second!.id)
    }),

    it('counts failed publications and the time since the first of them', async (bench) => {
      const { advance, send, unsent } = bench
      await send(outgoing('a'))
      for (let attempt = 1; attempt <= 3; attempt++) {
        await hold(bench, (await unsent())[0]!, { delay: 1000 })
        await advance(1000)
        await promote(bench)
        const [back] = await unsent()
        assert.equal(back!.attempts, attempt)
        assert.ok(back!.failingFor >= attempt * 1000, `${back!.failingFor} ms after attempt ${attempt}`)
      }
    }),

    it('an unsendable message waits for a person and holds back only its own key', async (bench) => {
      const { store, advance, send, unsent } = bench
      await send(outgoing('a'), outgoing('a'), outgoing('b'), outgoing(undefined))
      const [first] = await unsent()
      await hold(bench, first!, { state: 'unsendable', error: 'Error: too large' })
      assert.deepEqual(
        (await unsent()).map(({ behindHeld }) => behindHeld),
        [true, false, false],
      )
      await advance(86_400_000 / 2)
      assert.equal(await promote(bench), 0)
      const [row] = await store.admin.heldMessages({ state: 'unsendable' }, { limit: 10 })
      assert.deepEqual(
        [row?.id, row?.key, row?.attempts, row?.error, row?.dueAt],
        [first!.id, 'a', 1, 'Error: too large', undefined],
      )
    }),

    it('an unsendable message without a key holds back nothing', async (bench) => {
      const { send, unsent } = bench
      await send(outgoing(undefined), outgoing(undefined))
      await hold(bench, (await unsent())[0]!, { state: 'unsendable' })
      assert.deepEqual(
        (await unsent()).map(({ behindHeld }) => behindHeld),
        [false],
      )
    }),

    it('a key of one topic does not hold back the same key of another', async (bench) => {
      const { send, unsent } = bench
      await send(outgoing('a', { topic: 'one' }), outgoing('a', { topic: 'two' }))
      await hold(bench, (await unsent())[0]!, { state: 'unsendable' })
      assert.equal((await unsent())[0]!.behindHeld, false)
    }),

    it('those behind come back, in order, when the first has been published', async (bench) => {
      const { send, unsent } = bench
      const messages = await heldWithOthersBehind(bench, 5, {})
      await send(outgoing('a'), outgoing('b'))
      const [sixth] = await unsent()
      assert.equal(sixth!.behindHeld, true)
      assert.equal(await promote(bench), 1)
      assert.deepEqual(
        (await unsent()).map(({ behindHeld }) => behindHeld),
        [false, true, false],
        'the first is back, and what came meanwhile is still behind those behind it',
      )
      await remove(bench, (await unsent())[0]!)
      const back = await unsent()
      assert.deepEqual(ids(back).slice(0, 5), [...ids(messages.slice(1)), sixth!.id])
      assert.ok(back.every(({ behindHeld }) => !behindHeld))
      assert.deepEqual(
        back.slice(0, 4).map(({ attempts }) => attempts),
        [0, 0, 0, 0],
        'waiting behind another is no failed publication',
      )
    }),

    it('a long queue behind one message comes back whole', async (bench) => {
      const { unsent } = bench
      const messages = await heldWithOthersBehind(bench, 250, {})
      await promote(bench)
      const order: string[] = []
      for (let rounds = 0; rounds < 100; rounds++) {
        const next = (await unsent()).slice(0, 10)
        if (next.length === 0) break
        assert.ok(next.every(({ behindHeld }) => !behindHeld))
        order.push(...ids(next))
        await remove(bench, ...next)
      }
      assert.deepEqual(order, ids(messages))
    }),

    it('a message that fails again takes those of its key that came back behind itself', async (bench) => {
      const { unsent } = bench
      const messages = await heldWithOthersBehind(bench, 4, {})
      await promote(bench)
      await remove(bench, (await unsent())[0]!)
      await hold(bench, (await unsent())[0]!, {})
      assert.deepEqual(
        (await unsent()).map(({ behindHeld }) => behindHeld),
        [true, true],
      )
      for (const message of await unsent()) await hold(bench, message, { state: 'behind' })
      await promote(bench)
      assert.deepEqual(ids(await unsent()), [messages[1]!.id])
      await remove(bench, ...(await unsent()))
      assert.deepEqual(ids(await unsent()), ids(messages.slice(2)))
    }),

    it('a waiting message does not come back before an earlier one of its key', async (bench) => {
      const { store, advance, send, unsent, lease } = bench
      await send(outgoing('a'), outgoing('a'))
      const [first, second] = await unsent()
      await hold(bench, first!, { delay: 5000 })
      await hold(bench, second!, { delay: 0 })
      const { promoted, nextIn } = await store.outbox.promote(await lease(), 10)
      assert.equal(promoted, 0)
      assert.ok(nextIn !== undefined && nextIn > 0, 'nothing that has to wait for another counts as due')
      await advance(5000)
      await promote(bench)
      await promote(bench)
      assert.deepEqual(ids(await unsent()), [first!.id, second!.id])
    }),

    it('nothing is left behind a message that is settled at the same moment', async (bench) => {
      const { store, send, unsent, lease } = bench
      await send(outgoing('a'), outgoing('a'))
      const [first, second] = await unsent()
      await hold(bench, first!, { state: 'unsendable' })
      assert.equal((await unsent())[0]!.behindHeld, true)
      // The relay has read that; a person is faster than its hold().
      assert.equal(await store.admin.discardHeld(first!.id, ACT), true)
      await hold(bench, second!, { state: 'behind', error: undefined })
      assert.deepEqual(
        (await unsent()).map(({ id, behindHeld }) => [id, behindHeld]),
        [[second!.id, false]],
      )
      assert.deepEqual(await store.outbox.promote(await lease(), 10), { promoted: 0, nextIn: undefined })
    }),

    it('a person lets an unsendable message try again', async (bench) => {
      const { store, unsent, advance } = bench
      const messages = await heldWithOthersBehind(bench, 3, { state: 'unsendable' })
      await advance(10_000)
      assert.equal(await store.admin.retryHeld(messages[0]!.id, ACT), true)
      assert.equal(await store.admin.retryHeld(messages[1]!.id, ACT), false, 'it only waits behind another')
      assert.equal(await store.admin.retryHeld('nobody', ACT), false)
      assert.equal(await promote(bench), 1)
      const [back] = await unsent()
      assert.deepEqual([back!.id, back!.failingFor], [messages[0]!.id, 0], 'its time begins anew')
      await remove(bench, back!)
      assert.deepEqual(ids(await unsent()), ids(messages.slice(1)))
      const [act] = await store.admin.auditTrail({ limit: 10 })
      assert.deepEqual([act?.by, act?.target, act?.reason], [ACT.by, messages[0]!.id, ACT.reason])
    }),

    it('a person does not have to wait for a waiting message', async (bench) => {
      const { store, send, unsent } = bench
      await send(outgoing('a'))
      await hold(bench, (await unsent())[0]!, { delay: 60_000 })
      assert.equal(await promote(bench), 0)
      const [row] = await store.admin.heldMessages({ state: 'waiting' }, { limit: 10 })
      assert.equal(await store.admin.retryHeld(row!.id, ACT), true)
      assert.equal(await promote(bench), 1)
    }),

    it('a person gives an unsendable message up, and those behind it go on', async (bench) => {
      const { store, other, unsent } = bench
      const messages = await heldWithOthersBehind(bench, 4, { state: 'unsendable' })
      const { id } = messages[0]!
      assert.equal(await store.admin.discardHeld(messages[1]!.id, ACT), false, 'only what is unsendable')
      const answers = await Promise.all([store.admin.discardHeld(id, ACT), other.admin.discardHeld(id, ACT)])
      assert.deepEqual(answers.toSorted(), [false, true])
      assert.deepEqual(ids(await unsent()), ids(messages.slice(1)))
      assert.equal((await store.admin.auditTrail({ limit: 10 })).length, 1)
    }),

    ...(['waiting', 'unsendable'] as const).map((state) =>
      it(`discarding a later unsendable message leaves those behind an earlier one that is ${state}`, async (bench) => {
        const { store, advance, send, unsent } = bench
        await send(outgoing('a'), outgoing('a'), outgoing('a'))
        const [first, second, third] = await unsent()
        await hold(bench, second!, { state: 'unsendable' })
        await hold(bench, third!, { state: 'behind' })
        await hold(bench, first!, { state, delay: 1000 })
        await store.admin.discardHeld(second!.id, ACT)
        assert.deepEqual(await unsent(), [])
        await advance(1000)
        await store.admin.retryHeld(first!.id, ACT)
        await promote(bench)
        await remove(bench, ...(await unsent()))
        assert.deepEqual(ids(await unsent()), [third!.id])
      }),
    ),

    ...[1, 2, 3, 4, 5, 6].map((seed) =>
      it(`keeps the order of each key and loses nothing, whatever happens (seed ${seed})`, (bench) =>
        walkOutbox(bench, seed)),
    ),
  ]
}
