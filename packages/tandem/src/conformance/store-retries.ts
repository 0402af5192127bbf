import assert from 'node:assert/strict'
import type { RetryMessage } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import {
  ACT,
  DEAD,
  dueRetry,
  FAILED,
  ids,
  incoming,
  outgoing,
  RETRY_NOW,
  rolledBack,
  storeCases,
  type StoreBench,
  type StoreConformanceOptions,
} from './store-kit.ts'

const G = 'group'

/** Messages that are handled again. */
export function retryCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'retries')
  const failing = async ({ store }: StoreBench<Tx>, key = 'a', ordered = true): Promise<RetryMessage> => {
    const message = incoming(key)
    await store.inbox.recordFailure(G, message, FAILED, RETRY_NOW, ordered)
    return dueRetry(store, G, message.id)
  }
  const begun = async ({ store }: StoreBench<Tx>, due: RetryMessage): Promise<RetryMessage> => {
    const version = await store.inbox.beginRetry(due, 'host:1', 10_000)
    assert.ok(version !== undefined)
    return { ...due, version }
  }

  return [
    it('a retry is the message as it came', async ({ store }) => {
      const message = incoming('key', { causationId: 'cause', correlationId: 'chain', body: new Uint8Array([0, 255]) })
      await store.inbox.recordFailure(G, message, FAILED, RETRY_NOW, false)
      const due = await dueRetry(store, G, message.id)
      const { group, attempts, attemptsInRound, unfinished, version, ...content } = due
      assert.deepEqual({ ...content, body: new Uint8Array(due.body) }, message)
      assert.deepEqual([group, attempts, attemptsInRound, unfinished], [G, 1, 1, false])
      assert.equal(typeof version, 'number')
    }),

    it('is due after its delay, the oldest due first, and asked for by group', async ({ store, advance }) => {
      const [late, early, other] = [incoming('a'), incoming('b'), incoming('c')]
      await store.inbox.recordFailure(G, late, FAILED, { state: 'retrying', delay: 5000 }, true)
      await store.inbox.recordFailure(G, early, FAILED, { state: 'retrying', delay: 1000 }, true)
      await store.inbox.recordFailure('other', other, FAILED, { state: 'retrying', delay: 0 }, true)
      const before = await store.inbox.due([G], 10)
      assert.deepEqual(before.due, [])
      assert.ok(before.nextIn !== undefined && before.nextIn > 0 && before.nextIn <= 1000)
      await advance(5000)
      assert.deepEqual(ids((await store.inbox.due([G], 10)).due), [early.id, late.id])
      assert.deepEqual(ids((await store.inbox.due([G], 1)).due), [early.id])
      assert.deepEqual(ids((await store.inbox.due(['other', G], 10)).due), [other.id, early.id, late.id])
      assert.deepEqual(await store.inbox.due([], 10), { due: [], nextIn: undefined })
    }),

    it('of two processes that begin the same retry one gets it', async (bench) => {
      const due = await failing(bench)
      const versions = await Promise.all([
        bench.store.inbox.beginRetry(due, 'host:1', 10_000),
        bench.other.inbox.beginRetry(due, 'host:2', 10_000),
      ])
      assert.equal(versions.filter((version) => version !== undefined).length, 1)
      assert.deepEqual((await bench.store.inbox.due([G], 10)).due, [], 'nobody else begins it meanwhile')
    }),

    it('a retry that succeeds is handled, and its history tells only what failed', async (bench) => {
      const { store } = bench
      const retry = await begun(bench, await failing(bench))
      await store.transaction(async (tx) => {
        assert.equal(await store.inbox.completeRetry(tx, retry), true)
        await store.outbox.insert(tx, [outgoing('a')])
      })
      assert.equal(await store.inbox.state(G, retry.id), 'handled')
      assert.deepEqual(await store.inbox.due([G], 10), { due: [], nextIn: undefined })
      const [row] = await store.admin.trace(retry.id)
      assert.ok(row?.place.kind === 'inbox')
      assert.deepEqual(
        row.place.attempts.map(({ attempt, error }) => [attempt, error]),
        [[1, FAILED.error]],
      )
    }),

    it('a retry whose transaction is rolled back changed nothing', async (bench) => {
      const { store, unsent } = bench
      const blocked = incoming('a')
      const due = await failing(bench)
      await store.inbox.block(G, blocked)
      const retry = await begun(bench, due)
      await rolledBack(store, async (tx) => {
        assert.equal(await store.inbox.completeRetry(tx, retry), true)
        await store.outbox.insert(tx, [outgoing('a')])
      })
      assert.equal(await store.inbox.state(G, retry.id), 'retrying')
      assert.equal(await store.inbox.state(G, blocked.id), 'blocked')
      assert.deepEqual(await unsent(), [])
      assert.equal(await store.inbox.failRetry(retry, FAILED, RETRY_NOW), true, 'the version still holds')
    }),

    it('a retry that fails is due again, with one more attempt', async (bench) => {
      const { store, advance } = bench
      const retry = await begun(bench, await failing(bench))
      const failed = { ...FAILED, error: 'Error: again' }
      assert.equal(await store.inbox.failRetry(retry, failed, { state: 'retrying', delay: 1000 }), true)
      assert.deepEqual((await store.inbox.due([G], 10)).due, [])
      await advance(1000)
      const next = await dueRetry(store, G, retry.id)
      assert.deepEqual([next.attempts, next.attemptsInRound, next.unfinished], [2, 2, false])
      await store.inbox.failRetry(await begun(bench, next), failed, DEAD)
      const letter = await store.admin.deadLetter({ group: G, id: retry.id })
      assert.deepEqual(
        letter?.history.map(({ attempt, error, process }) => [attempt, error, process]),
        [
          [1, FAILED.error, 'host:1'],
          [2, 'Error: again', 'host:1'],
          [3, 'Error: again', 'host:1'],
        ],
      )
      assert.deepEqual([letter?.attempts, letter?.reason], [3, 'not-retryable'])
      assert.deepEqual(await store.inbox.due([G], 10), { due: [], nextIn: undefined })
    }),

    it('a process that dies in a retry is counted, and the message comes back', async (bench) => {
      const { store, other, advance } = bench
      const due = await failing(bench)
      await begun(bench, due)
      const { nextIn } = await other.inbox.due([G], 10)
      assert.ok(nextIn !== undefined && nextIn > 0 && nextIn <= 10_000)
      await advance(10_000)
      const again = await dueRetry(other, G, due.id)
      assert.deepEqual([again.attempts, again.attemptsInRound, again.unfinished], [2, 2, true])
      await other.inbox.failRetry(await begun(bench, again), FAILED, DEAD)
      const letter = await store.admin.deadLetter({ group: G, id: due.id })
      assert.match(letter?.history[1]?.error ?? '', /died/)
      assert.deepEqual([letter?.attempts, letter?.history.length], [3, 3])
    }),

    it('a process that was taken for dead can change nothing any more', async (bench) => {
      const { store, other, advance } = bench
      const old = await begun(bench, await failing(bench))
      await advance(10_000)
      const due = await dueRetry(other, G, old.id)
      const version = await other.inbox.beginRetry(due, 'host:2', 10_000)
      assert.ok(version !== undefined)
      assert.equal(await store.inbox.failRetry(old, FAILED, DEAD), false)
      await store.transaction(async (tx) => {
        assert.equal(await store.inbox.completeRetry(tx, old), false)
      })
      assert.equal(await store.inbox.state(G, old.id), 'retrying')
      assert.equal(await other.transaction((tx) => other.inbox.completeRetry(tx, { ...due, version })), true)
      assert.equal(await store.inbox.failRetry(old, FAILED, DEAD), false)
      assert.equal(await store.inbox.beginRetry(due, 'host:1', 1000), undefined)
      assert.equal(await store.inbox.state(G, old.id), 'handled')
    }),

    it('of two transactions that complete the same retry one does', async (bench) => {
      const { store, other } = bench
      const retry = await begun(bench, await failing(bench))
      const answers = await Promise.all([
        store.transaction((tx) => store.inbox.completeRetry(tx, retry)),
        other.transaction((tx) => other.inbox.completeRetry(tx, retry)),
      ])
      assert.deepEqual(answers.toSorted(), [false, true])
    }),

    it('a replay begins a new round: the whole history stays, the count for the policy starts again', async (bench) => {
      const { store } = bench
      const retry = await begun(bench, await failing(bench))
      await store.inbox.failRetry(retry, FAILED, DEAD)
      assert.equal(await store.admin.replayDeadLetter({ group: G, id: retry.id }, ACT), true)
      const again = await dueRetry(store, G, retry.id)
      assert.deepEqual([again.attempts, again.attemptsInRound, again.unfinished], [2, 0, false])
      await store.inbox.failRetry(await begun(bench, again), FAILED, DEAD)
      assert.equal((await store.admin.deadLetter({ group: G, id: retry.id }))?.history.length, 3)
    }),

    it('a replayed message keeps its place behind an earlier one of its key', async (bench) => {
      const { store } = bench
      const [first, second] = [incoming('a'), incoming('a')]
      await store.inbox.recordFailure(G, first, FAILED, DEAD, true)
      // Unreadable, for example, and therefore dead without having waited.
      await store.inbox.recordFailure(G, second, FAILED, DEAD, true)
      await store.admin.replayDeadLetter({ group: G, id: second.id }, ACT)
      assert.deepEqual((await store.inbox.due([G], 10)).due, [])
      await store.admin.replayDeadLetter({ group: G, id: first.id }, ACT)
      assert.deepEqual(ids((await store.inbox.due([G], 10)).due), [first.id])
      const retry = await begun(bench, await dueRetry(store, G, first.id))
      await store.transaction((tx) => store.inbox.completeRetry(tx, retry))
      assert.deepEqual(ids((await store.inbox.due([G], 10)).due), [second.id])
    }),

    it('the next of a key goes on only when all before it are settled', async (bench) => {
      const { store } = bench
      const [first, second, third] = [incoming('a'), incoming('a'), incoming('a')]
      await store.inbox.recordFailure(G, first, FAILED, DEAD, true)
      await store.inbox.recordFailure(G, second, FAILED, DEAD, true)
      await store.inbox.block(G, third)
      await store.admin.discardDeadLetter({ group: G, id: first.id }, ACT)
      assert.equal(await store.inbox.state(G, third.id), 'blocked')
      await store.admin.discardDeadLetter({ group: G, id: second.id }, ACT)
      assert.equal(await store.inbox.state(G, third.id), 'retrying')
    }),

    it('what was recorded without order waits for nothing that was recorded with it', async (bench) => {
      const { store } = bench
      const [first, second] = [incoming('a'), incoming('a')]
      await store.inbox.recordFailure(G, first, FAILED, DEAD, true)
      await store.inbox.recordFailure(G, second, FAILED, RETRY_NOW, false)
      assert.deepEqual(ids((await store.inbox.due([G], 10)).due), [second.id])
    }),

    it('in a group without order messages of one key do not wait for each other', async (bench) => {
      const [one, two] = [await failing(bench, 'a', false), await failing(bench, 'a', false)]
      assert.deepEqual(ids((await bench.store.inbox.due([G], 10)).due).toSorted(), [one.id, two.id].toSorted())
    }),
  ]
}
