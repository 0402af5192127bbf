import assert from 'node:assert/strict'
import { uuidv7 } from '../core/ids.ts'
import type { HalfSelector } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import { rejectsWith } from './driver-kit.ts'
import {
  holdOpen,
  ids,
  leaseOne,
  outgoing,
  rolledBack,
  storeCases,
  type StoreBench,
  type StoreConformanceOptions,
} from './store-kit.ts'

const BARRIER: HalfSelector = { barrier: true }
const TYPE: HalfSelector = { barrier: false, types: ['conformance.happened'] }
const SCHEDULE = { transactionTimeOut: 6000, transactionCheckInterval: 30_000, transactionCheckMax: 2 }
const DAY = 86_400_000

/** Half messages and barriers. */
export function halfCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'half messages')
  const prepared = async ({ store }: StoreBench<Tx>, barrier: boolean, more = {}): Promise<string> => {
    const message = outgoing('a', more)
    await store.half.prepare(message, { barrier, firstCheckIn: 6000 })
    return message.id
  }
  const checker = ({ store }: StoreBench<Tx>): ReturnType<typeof leaseOne> =>
    leaseOne(store, { id: uuidv7(), host: 'conformance', pid: 2 }, 'checker')

  return [
    it('is invisible until it is committed, and then a message as it was prepared', async (bench) => {
      const { store, unsent } = bench
      const message = outgoing('key', { body: new Uint8Array([0, 255]) })
      await store.half.prepare(message, { barrier: false, firstCheckIn: 6000 })
      assert.deepEqual(await unsent(), [])
      assert.deepEqual(await store.half.resolve(message.id, 'commit'), { state: 'committed', changed: true })
      const [read] = await unsent()
      const { id, topic, type, key, headers, body } = read!
      assert.deepEqual(
        { id, topic, type, key, headers, body: [...body] },
        {
          id: message.id,
          topic: message.topic,
          type: message.type,
          key: 'key',
          headers: message.headers,
          body: [0, 255],
        },
      )
    }),

    it('is gone after a rollback', async (bench) => {
      const { store, unsent } = bench
      const id = await prepared(bench, false)
      assert.deepEqual(await store.half.resolve(id, 'rollback'), { state: 'rolled-back', changed: true })
      assert.deepEqual(await unsent(), [])
    }),

    it('the first decision stays, and later ones learn of it', async (bench) => {
      const { store, unsent } = bench
      const [one, two] = [await prepared(bench, false), await prepared(bench, false)]
      await store.half.resolve(one, 'commit')
      for (const decision of ['commit', 'rollback'] as const) {
        assert.deepEqual(await store.half.resolve(one, decision), { state: 'committed', changed: false })
      }
      await store.half.resolve(two, 'rollback')
      for (const decision of ['commit', 'rollback'] as const) {
        assert.deepEqual(await store.half.resolve(two, decision), { state: 'rolled-back', changed: false })
      }
      assert.deepEqual(ids(await unsent()), [one])
      assert.equal(await store.half.resolve('nobody', 'commit'), undefined)
    }),

    it('of several decisions at the same moment exactly one decides', async (bench) => {
      const { store, other, unsent } = bench
      for (let round = 0; round < 10; round++) {
        const before = (await unsent()).length
        const id = await prepared(bench, false)
        const answers = await Promise.all([
          store.half.resolve(id, 'commit'),
          other.half.resolve(id, 'rollback'),
          other.half.resolve(id, 'commit'),
          store.half.resolve(id, 'rollback'),
        ])
        assert.equal(answers.filter((answer) => answer?.changed).length, 1)
        assert.equal(new Set(answers.map((answer) => answer?.state)).size, 1, 'all learn the same outcome')
        const committed = answers[0]?.state === 'committed'
        assert.equal((await unsent()).length, before + (committed ? 1 : 0), 'published once if committed')
      }
    }),

    it('is prepared once', async (bench) => {
      const { store } = bench
      const id = await prepared(bench, true)
      const again = outgoing('b', { id })
      await rejectsWith(store.half.prepare(again, { barrier: true, firstCheckIn: 0 }), 'CONFLICT')
    }),

    it('a committed one with deliverAt waits until then', async (bench) => {
      const { store, unsent, lease, advance } = bench
      const deliverAt = new Date((await store.admin.overview()).now + 60_000)
      const id = await prepared(bench, false, { deliverAt })
      await store.half.resolve(id, 'commit')
      assert.deepEqual(await unsent(), [])
      await advance(60_000)
      await store.outbox.promote(await lease(), 10)
      assert.deepEqual(ids(await unsent()), [id])
    }),

    it('is due for a check after its time, the oldest first', async (bench) => {
      const { store, advance } = bench
      assert.deepEqual(await store.half.due(TYPE, 10), { due: [], nextIn: undefined })
      const first = await prepared(bench, false)
      await advance(1000)
      const second = await prepared(bench, false, { deliverAt: new Date(4_000_000_000_000) })
      const early = await store.half.due(TYPE, 10)
      assert.deepEqual(early.due, [])
      assert.ok(early.nextIn !== undefined && early.nextIn > 0 && early.nextIn <= 5000)
      await advance(6000)
      const { due, nextIn } = await store.half.due(TYPE, 10)
      assert.deepEqual(ids(due), [first, second])
      assert.equal(nextIn, undefined)
      const [half, later] = due
      assert.deepEqual([half!.state, half!.barrier, half!.answered], ['prepared', false, 0])
      assert.ok(half!.age >= 7000)
      assert.equal(half!.body.length > 0, true)
      assert.deepEqual([half!.deliverAt, later!.deliverAt], [undefined, new Date(4_000_000_000_000)])
      assert.deepEqual(ids((await store.half.due(TYPE, 1)).due), [first])
    }),

    it('is asked for by its type, or by its barrier', async (bench) => {
      const { store, advance } = bench
      const plain = await prepared(bench, false)
      const other = await prepared(bench, false, { type: 'conformance.other' })
      const barrier = await prepared(bench, true)
      await advance(6000)
      assert.deepEqual(ids((await store.half.due(TYPE, 10)).due), [plain])
      assert.deepEqual(ids((await store.half.due(BARRIER, 10)).due), [barrier])
      const types = ['conformance.other', 'conformance.happened', 'conformance.unknown']
      const both = await store.half.due({ barrier: false, types }, 10)
      assert.deepEqual(ids(both.due), [plain, other])
      assert.deepEqual(await store.half.due({ barrier: false, types: [] }, 10), { due: [], nextIn: undefined })
    }),

    it('what is decided is not due', async (bench) => {
      const { store, advance } = bench
      await store.half.resolve(await prepared(bench, false), 'commit')
      await store.half.resolve(await prepared(bench, false), 'rollback')
      await advance(60_000)
      assert.deepEqual(await store.half.due(TYPE, 10), { due: [], nextIn: undefined })
    }),

    it('unknown sets the next check, and parks it after the last', async (bench) => {
      const { store, advance, unsent } = bench
      const fence = await checker(bench)
      const id = await prepared(bench, false)
      await advance(6000)
      assert.equal(await store.half.recordUnknown(fence, id, SCHEDULE, 'not sure'), 'prepared')
      const waiting = await store.half.due(TYPE, 10)
      assert.deepEqual(waiting.due, [])
      assert.ok(waiting.nextIn !== undefined && waiting.nextIn > 29_000 && waiting.nextIn <= 30_000)
      await advance(30_000)
      assert.equal((await store.half.due(TYPE, 10)).due[0]?.answered, 1)
      assert.equal(await store.half.recordUnknown(fence, id, SCHEDULE, undefined), 'undecided')
      await advance(DAY / 2)
      assert.deepEqual(await store.half.due(TYPE, 10), { due: [], nextIn: undefined })
      const [row] = await store.admin.halfMessages({ state: 'undecided' }, { limit: 10 })
      assert.deepEqual([row?.id, row?.answered], [id, 2])
      assert.deepEqual(await store.half.resolve(id, 'commit'), { state: 'committed', changed: true })
      assert.deepEqual(ids(await unsent()), [id], 'an undecided one still has its content')
    }),

    it('unknown changes nothing that is decided, and nothing under a stale fence', async (bench) => {
      const { store, advance } = bench
      const fence = await checker(bench)
      const [decided, open] = [await prepared(bench, false), await prepared(bench, false)]
      await store.half.resolve(decided, 'rollback')
      assert.equal(await store.half.recordUnknown(fence, decided, SCHEDULE, 'x'), 'rolled-back')
      assert.equal(await store.half.recordUnknown(fence, 'nobody', SCHEDULE, 'x'), undefined)
      await advance(6000)
      const old = { ...fence, token: fence.token - 1 }
      assert.equal(await store.half.recordUnknown(old, open, SCHEDULE, 'x'), 'prepared')
      assert.deepEqual(ids((await store.half.due(TYPE, 10)).due), [open])
      assert.equal((await store.half.due(TYPE, 10)).due[0]?.answered, 0)
    }),

    it('a barrier that committed answers commit', async (bench) => {
      const { store, other } = bench
      const id = await prepared(bench, true)
      await store.transaction((tx) => store.half.insertBarrier(tx, id))
      assert.equal(await store.half.closeBarrier(id, 1000), 'commit')
      assert.equal(await other.half.closeBarrier(id, 1000), 'commit', 'asking changes nothing')
    }),

    it('an absent barrier is closed, and a local transaction that comes later must fail', async (bench) => {
      const { store, other, unsent } = bench
      const id = await prepared(bench, true)
      assert.equal(await other.half.closeBarrier(id, 1000), 'rollback')
      assert.equal(await store.half.closeBarrier(id, 1000), 'rollback')
      const late = store.transaction(async (tx) => {
        await store.outbox.insert(tx, [outgoing('a')])
        await store.half.insertBarrier(tx, id)
      })
      await rejectsWith(late, 'BARRIER_CLOSED')
      assert.deepEqual(await unsent(), [], 'nothing of the late transaction is left')
      assert.equal(await store.half.closeBarrier(id, 1000), 'rollback')
    }),

    it('a local transaction that is rolled back leaves no barrier', async (bench) => {
      const { store } = bench
      const id = await prepared(bench, true)
      await rolledBack(store, (tx) => store.half.insertBarrier(tx, id))
      assert.equal(await store.half.closeBarrier(id, 1000), 'rollback')
    }),

    it('a local transaction that is still open is unknown, and can commit', async (bench) => {
      const { store, other } = bench
      const id = await prepared(bench, true)
      const open = await holdOpen(store, (tx) => store.half.insertBarrier(tx, id))
      assert.equal(await other.half.closeBarrier(id, 50), 'unknown')
      await open.commit()
      assert.equal(await other.half.closeBarrier(id, 1000), 'commit')
    }),

    it('a close that waits for an open local transaction answers what comes of it', async (bench) => {
      const { store, other } = bench
      for (const end of ['commit', 'rollBack'] as const) {
        const id = await prepared(bench, true)
        const open = await holdOpen(store, (tx) => store.half.insertBarrier(tx, id))
        const answer = other.half.closeBarrier(id, 10_000)
        await open[end]()
        assert.equal(await answer, end === 'commit' ? 'commit' : 'rollback')
      }
    }),

    it('one half message serves one local transaction', async (bench) => {
      const { store, unsent } = bench
      const id = await prepared(bench, true)
      await store.transaction((tx) => store.half.insertBarrier(tx, id))
      const second = store.transaction(async (tx) => {
        await store.outbox.insert(tx, [outgoing('a')])
        await store.half.insertBarrier(tx, id)
      })
      await rejectsWith(second, 'CONFLICT')
      assert.deepEqual(await unsent(), [])
    }),

    it('close and local transaction at the same moment never both win', async (bench) => {
      const { store, other } = bench
      for (let round = 0; round < 10; round++) {
        const id = await prepared(bench, true)
        const local = store
          .transaction((tx) => store.half.insertBarrier(tx, id))
          .then(
            () => 'commit',
            () => 'rollback',
          )
        const [answer, outcome] = await Promise.all([other.half.closeBarrier(id, 10_000), local])
        assert.equal(answer, outcome)
      }
    }),

    it('expires what was decided long ago, in portions', async (bench) => {
      const { store, advance } = bench
      const old = await Promise.all(Array.from({ length: 5 }, () => prepared(bench, false)))
      for (const id of old) await store.half.resolve(id, 'commit')
      await advance(1000)
      await store.half.resolve(await prepared(bench, false), 'rollback')
      assert.equal(await store.half.expire(1_000_000, 10), 0)
      assert.equal(await store.half.expire(500, 3), 3)
      assert.equal(await store.half.expire(500, 3), 2)
      assert.equal(await store.half.expire(500, 3), 0)
      assert.deepEqual((await store.admin.overview()).half, {
        prepared: 0,
        committed: 0,
        'rolled-back': 1,
        undecided: 0,
      })
    }),

    it('never expires what is not decided, nor the barrier that decides it', async (bench) => {
      const { store, advance } = bench
      const fence = await checker(bench)
      const [open, undecided, closed] = [
        await prepared(bench, true),
        await prepared(bench, true),
        await prepared(bench, true),
      ]
      await store.transaction((tx) => store.half.insertBarrier(tx, open))
      await store.transaction((tx) => store.half.insertBarrier(tx, undecided))
      await store.half.closeBarrier(closed, 1000)
      await store.half.recordUnknown(fence, undecided, { ...SCHEDULE, transactionCheckMax: 1 }, 'x')
      await advance(DAY / 2)
      assert.equal(await store.half.expire(1000, 100), 0)
      assert.equal(await store.half.closeBarrier(open, 1000), 'commit')
      assert.equal(await store.half.closeBarrier(undecided, 1000), 'commit')
      assert.equal(await store.half.closeBarrier(closed, 1000), 'rollback')
      // Decided just now: both stay; long ago: both go.
      await store.half.resolve(open, 'commit')
      assert.equal(await store.half.expire(1000, 100), 0)
      await advance(2000)
      assert.equal(await store.half.expire(1000, 100), 2)
      assert.equal(await store.half.expire(1000, 100), 0)
    }),
  ]
}
