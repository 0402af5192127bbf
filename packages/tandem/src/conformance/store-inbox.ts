import assert from 'node:assert/strict'
import type { ConformanceCase } from './case.ts'
import {
  ACT,
  DEAD,
  FAILED,
  holdOpen,
  incoming,
  outgoing,
  RETRY_NOW,
  rolledBack,
  storeCases,
  retryWell,
  type StoreConformanceOptions,
} from './store-kit.ts'
import { walkInbox } from './store-walk-inbox.ts'

const G = 'group'

/** What a consumer group has handled, and what waits in it. */
export function inboxCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'inbox')
  return [
    it('a message is new once, in each group', async ({ store }) => {
      const message = incoming('a')
      const begin = (group: string): Promise<readonly string[]> =>
        store.transaction((tx) => store.inbox.begin(tx, group, [message], false))
      assert.equal(await store.inbox.state(G, message.id), undefined)
      assert.deepEqual(await begin(G), ['new'])
      assert.deepEqual(await begin(G), ['duplicate'])
      assert.deepEqual(await begin('other'), ['new'])
      assert.equal(await store.inbox.state(G, message.id), 'handled')
    }),

    it('a handling that is rolled back never was, with all that it sent', async ({ store, unsent }) => {
      const message = incoming('a')
      await rolledBack(store, async (tx) => {
        assert.deepEqual(await store.inbox.begin(tx, G, [message], false), ['new'])
        await store.outbox.insert(tx, [outgoing('a')])
      })
      assert.equal(await store.inbox.state(G, message.id), undefined)
      assert.deepEqual(await unsent(), [])
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, [message], false)), ['new'])
    }),

    bothOrders((ordered) =>
      it(`several messages at once, ordered ${ordered}: of two copies one is new`, async ({ store }) => {
        const known = incoming('a')
        await store.transaction((tx) => store.inbox.begin(tx, G, [known], ordered))
        const [one, two] = [incoming('a'), incoming(undefined)]
        const outcomes = await store.transaction((tx) => store.inbox.begin(tx, G, [one, known, two, one, two], ordered))
        assert.deepEqual(outcomes, ['new', 'duplicate', 'new', 'duplicate', 'duplicate'])
        assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, [], ordered)), [])
      }),
    ),

    it('of two transactions with the same message the second waits for the first', async ({ store, other }) => {
      for (const [end, expected] of [['commit', 'duplicate'] as const, ['rollBack', 'new'] as const]) {
        const message = incoming('a')
        const first = await holdOpen(store, (tx) => store.inbox.begin(tx, G, [message], false))
        let ended = false
        const second = other.transaction(async (tx) => {
          const outcomes = await other.inbox.begin(tx, G, [message], false)
          assert.ok(ended, 'it did not wait')
          return outcomes
        })
        ended = true
        await first[end]()
        assert.deepEqual(await second, [expected])
      }
    }),

    it('a failed message is recorded once', async ({ store, other }) => {
      const message = incoming('a')
      const answers = await Promise.all([
        store.inbox.recordFailure(G, message, FAILED, RETRY_NOW, false),
        other.inbox.recordFailure(G, message, FAILED, DEAD, false),
      ])
      assert.deepEqual(answers.toSorted(), ['duplicate', 'recorded'])
      const handled = incoming('a')
      await store.transaction((tx) => store.inbox.begin(tx, G, [handled], false))
      assert.equal(await store.inbox.recordFailure(G, handled, FAILED, RETRY_NOW, false), 'duplicate')
      assert.equal(await store.inbox.state(G, handled.id), 'handled')
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, [message], false)), ['duplicate'])
    }),

    it('in an ordered group a failed message blocks its key, and no other', async ({ store }) => {
      const failed = incoming('a')
      await store.inbox.recordFailure(G, failed, FAILED, RETRY_NOW, true)
      const next = incoming('a')
      const batch = [incoming('b'), next, failed, incoming(undefined), incoming('a', { topic: 'other' })]
      const outcomes = await store.transaction((tx) => store.inbox.begin(tx, G, batch, true))
      assert.deepEqual(outcomes, ['new', 'blocked', 'duplicate', 'new', 'new'])
      assert.equal(await store.inbox.state(G, next.id), undefined, 'blocked leaves no row')
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, 'other', [next], true)), ['new'])
      const free = [incoming('b'), incoming('a', { topic: 'other' })]
      for (const message of free) assert.equal(await store.inbox.block(G, message), 'free')
      assert.equal(await store.inbox.block('third', next), 'free')
      assert.equal(await store.inbox.block(G, next), 'blocked')
    }),

    it('in a group without order a failed message blocks nothing', async ({ store }) => {
      await store.inbox.recordFailure(G, incoming('a'), FAILED, RETRY_NOW, false)
      await store.inbox.recordFailure(G, incoming(undefined), FAILED, RETRY_NOW, true)
      const batch = [incoming('a'), incoming(undefined)]
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, batch, true)), ['new', 'new'])
      assert.equal(
        await store.inbox.block(G, incoming(undefined)),
        'free',
        'nothing waits behind a message without key',
      )
    }),

    it('dead, retrying and blocked messages keep their key blocked', async ({ store }) => {
      const [dead, blocked] = [incoming('a'), incoming('a')]
      await store.inbox.recordFailure(G, dead, FAILED, DEAD, true)
      assert.equal(await store.inbox.block(G, blocked), 'blocked')
      assert.equal(await store.inbox.state(G, blocked.id), 'blocked')
      assert.equal(await store.inbox.block(G, blocked), 'duplicate')
      await store.admin.discardDeadLetter({ group: G, id: dead.id }, ACT)
      assert.equal(await store.inbox.state(G, blocked.id), 'retrying')
      const begin = await store.transaction((tx) => store.inbox.begin(tx, G, [incoming('a')], true))
      assert.deepEqual(begin, ['blocked'], 'the one that was released comes first')
    }),

    it('a key that has just become free blocks nothing: the message must be handled', async ({ store }) => {
      const failed = incoming('a')
      await store.inbox.recordFailure(G, failed, FAILED, RETRY_NOW, true)
      const late = incoming('a')
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, [late], true)), ['blocked'])
      await retryWell(store, G, failed.id)
      assert.equal(await store.inbox.block(G, late), 'free')
      assert.equal(await store.inbox.state(G, late.id), undefined)
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, [late], true)), ['new'])
    }),

    it('block and the end of what it waits for, at the same moment, leave nothing behind', async (bench) => {
      const { store, other } = bench
      for (let round = 0; round < 10; round++) {
        const key = `key ${round}`
        const [failed, late] = [incoming(key), incoming(key)]
        await store.inbox.recordFailure(G, failed, FAILED, RETRY_NOW, true)
        const [outcome] = await Promise.all([other.inbox.block(G, late), retryWell(store, G, failed.id)])
        if (outcome === 'free') assert.equal(await store.inbox.state(G, late.id), undefined)
        else await retryWell(store, G, late.id)
        assert.equal(await store.inbox.block(G, incoming(key)), 'free')
      }
    }),

    it('those that were blocked come one after the other, in the order in which they arrived', async ({ store }) => {
      const failed = incoming('a')
      const blocked = [incoming('a'), incoming('a'), incoming('a')]
      await store.inbox.recordFailure(G, failed, FAILED, RETRY_NOW, true)
      for (const message of blocked) await store.inbox.block(G, message)
      for (const message of [failed, ...blocked]) {
        const { due } = await store.inbox.due([G], 10)
        assert.deepEqual(
          due.map(({ id }) => id),
          [message.id],
          'one at a time',
        )
        await retryWell(store, G, message.id)
        assert.equal(await store.inbox.state(G, message.id), 'handled')
      }
      assert.deepEqual(await store.inbox.due([G], 10), { due: [], nextIn: undefined })
      assert.equal((await store.admin.overview()).blockedKeys, 0)
    }),

    it('expires what was finished long ago, in portions, with its history', async ({ store, advance }) => {
      const handled = Array.from({ length: 5 }, () => incoming('a'))
      await store.transaction((tx) => store.inbox.begin(tx, G, handled, false))
      const [retried, discarded] = [incoming('a'), incoming('a')]
      await store.inbox.recordFailure(G, retried, FAILED, RETRY_NOW, false)
      await store.inbox.recordFailure(G, discarded, FAILED, DEAD, false)
      await retryWell(store, G, retried.id)
      await store.admin.discardDeadLetter({ group: G, id: discarded.id }, ACT)
      await advance(1000)
      const young = incoming('a')
      await store.transaction((tx) => store.inbox.begin(tx, G, [young], false))
      assert.equal(await store.inbox.expire(1_000_000, 10), 0)
      assert.equal(await store.inbox.expire(500, 4), 4)
      assert.equal(await store.inbox.expire(500, 4), 3)
      assert.equal(await store.inbox.expire(500, 4), 0)
      const [{ states } = { states: undefined }] = (await store.admin.overview()).inbox
      assert.deepEqual(states, { handled: 1, retrying: 0, blocked: 0, dead: 0, discarded: 0 })
      assert.equal(await store.inbox.state(G, young.id), 'handled')
      assert.deepEqual(await store.transaction((tx) => store.inbox.begin(tx, G, [retried], false)), ['new'])
      assert.deepEqual((await store.admin.trace(retried.id)).flatMap(attemptsOf), [], 'the old history is gone')
    }),

    it('never expires what is not finished, however old', async ({ store, advance }) => {
      const [dead, retrying, blocked] = [incoming('a'), incoming('b'), incoming('a')]
      await store.inbox.recordFailure(G, dead, FAILED, DEAD, true)
      await store.inbox.recordFailure(G, retrying, FAILED, { state: 'retrying', delay: 1000 }, true)
      await store.inbox.block(G, blocked)
      await advance(86_400_000)
      const handled = Array.from({ length: 3 }, () => incoming('c'))
      await store.transaction((tx) => store.inbox.begin(tx, G, handled, true))
      await advance(1000)
      assert.equal(await store.inbox.expire(500, 3), 3, 'what is unfinished does not stand in the way')
      assert.equal(await store.inbox.expire(500, 3), 0)
      assert.equal(await store.inbox.state(G, dead.id), 'dead')
      assert.equal(await store.inbox.state(G, retrying.id), 'retrying')
      assert.equal(await store.inbox.state(G, blocked.id), 'blocked')
      const { body, history } = (await store.admin.deadLetter({ group: G, id: dead.id }))!
      assert.deepEqual([new Uint8Array(body), history.length], [new Uint8Array(dead.body), 1])
    }),

    it('what was finished late expires late', async ({ store, advance }) => {
      const failed = incoming('a')
      await store.inbox.recordFailure(G, failed, FAILED, DEAD, false)
      await advance(10_000)
      await store.admin.replayDeadLetter({ group: G, id: failed.id }, ACT)
      const early = incoming('a')
      await store.transaction((tx) => store.inbox.begin(tx, G, [early], false))
      await advance(1000)
      await retryWell(store, G, failed.id)
      assert.equal(await store.inbox.expire(500, 10), 1)
      assert.equal(await store.inbox.state(G, failed.id), 'handled')
      await advance(1000)
      assert.equal(await store.inbox.expire(500, 10), 1)
    }),

    ...[1, 2, 3, 4, 5, 6].map((seed) =>
      it(`an ordered group handles each key in order and loses nothing, whatever happens (seed ${seed})`, (bench) =>
        walkInbox(bench, seed)),
    ),
  ].flat()
}

function attemptsOf({ place }: { readonly place: object }): readonly unknown[] {
  return 'attempts' in place ? (place.attempts as readonly unknown[]) : []
}

function bothOrders(make: (ordered: boolean) => ConformanceCase): ConformanceCase[] {
  return [make(false), make(true)]
}
