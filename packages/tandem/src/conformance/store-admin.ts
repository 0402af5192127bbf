import assert from 'node:assert/strict'
import type { DeadLetterFilter, Page } from '../spi/admin-store.ts'
import type { FailedAttempt, InboxMessage } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import {
  ACT,
  DEAD,
  dueRetry,
  FAILED,
  ids,
  incoming,
  outgoing,
  RELAY,
  RETRY_NOW,
  retryWell,
  storeCases,
  type StoreBench,
  type StoreConformanceOptions,
} from './store-kit.ts'
import { traceCases } from './store-trace.ts'

const G = 'group'

/** What a person sees and decides. */
export function adminCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'administration')
  const kill = async (
    { store }: StoreBench<Tx>,
    message: InboxMessage,
    how: { group?: string; attempt?: Partial<FailedAttempt>; ordered?: boolean } = {},
  ): Promise<InboxMessage> => {
    await store.inbox.recordFailure(how.group ?? G, message, { ...FAILED, ...how.attempt }, DEAD, how.ordered ?? true)
    return message
  }

  return [
    it('a dead letter is listed and shown with all that is known of it', async (bench) => {
      const { store } = bench
      const message = await kill(bench, incoming('a', { body: new Uint8Array([0, 255]) }))
      await store.inbox.block(G, incoming('a'))
      await store.inbox.block(G, incoming('a'))
      const [row] = await store.admin.deadLetters({}, { limit: 10 })
      const { cursor, diedAt, ...rest } = row!
      assert.deepEqual(rest, {
        group: G,
        id: message.id,
        topic: message.topic,
        type: message.type,
        key: 'a',
        source: message.source,
        reason: 'not-retryable',
        error: FAILED.error,
        attempts: 1,
        sentAt: message.sentAt,
        blocking: 2,
      })
      const { now } = await store.admin.overview()
      assert.ok(diedAt > now - 60_000 && diedAt <= now)
      const detail = (await store.admin.deadLetter({ group: G, id: message.id }))!
      assert.deepEqual(detail.headers, message.headers)
      assert.deepEqual([[...detail.body], detail.originalBody, detail.cursor], [[0, 255], undefined, cursor])
      const [{ at, ...attempt }] = detail.history as [(typeof detail.history)[number]]
      assert.deepEqual(attempt, { attempt: 1, ...FAILED })
      assert.ok(Math.abs(at - diedAt) < 1000)
      assert.equal(await store.admin.deadLetter({ group: 'other', id: message.id }), undefined)
    }),

    it('a dead letter tells how many wait behind it, not before it', async (bench) => {
      const { store } = bench
      const first = await kill(bench, incoming('a'))
      await store.inbox.block(G, incoming('a'))
      // Unreadable, for example, and therefore dead without having waited.
      const second = await kill(bench, incoming('a'))
      await store.inbox.block(G, incoming('a'))
      const rows = await store.admin.deadLetters({}, { limit: 10 })
      assert.deepEqual(
        rows.map(({ id, blocking }) => [id, blocking]),
        [
          [second.id, 1],
          [first.id, 2],
        ],
      )
    }),

    it('dead letters are found by each condition and by all together', async (bench) => {
      const { store } = bench
      await kill(bench, incoming('a'))
      const wanted = await kill(bench, incoming('b', { topic: 'orders', type: 'orders.placed' }), {
        group: 'stock',
        attempt: { error: 'Error: 100% _odd_\nsecond line' },
      })
      await store.inbox.recordFailure(G, incoming('c'), FAILED, RETRY_NOW, true)
      const filters: DeadLetterFilter[] = [
        { group: 'stock' },
        { type: 'orders.placed' },
        { topic: 'orders' },
        { key: 'b' },
        { error: '100% _odd_' },
        { error: 'second' },
        { group: 'stock', type: 'orders.placed', topic: 'orders', key: 'b', reason: 'not-retryable', error: 'Error' },
      ]
      for (const filter of filters) {
        const found = await store.admin.deadLetters(filter, { limit: 10 })
        assert.deepEqual(ids(found), [wanted.id], JSON.stringify(filter))
        assert.equal((await store.admin.deadLetterGroups(filter)).length, 1)
      }
      assert.equal((await store.admin.deadLetters({}, { limit: 10 })).length, 2)
      for (const filter of [{ reason: 'undecodable' }, { error: '100%%' }, { group: 'stock', key: 'a' }] as const) {
        assert.deepEqual(await store.admin.deadLetters(filter, { limit: 10 }), [], JSON.stringify(filter))
      }
    }),

    it('dead letters are grouped by group, type and first line, the largest first', async (bench) => {
      const { store, advance } = bench
      for (const error of ['Error: a\nat 1', 'Error: a\nat 2', 'Error: a', 'Error: b']) {
        await kill(bench, incoming('a'), { attempt: { error } })
        await advance(10)
      }
      await kill(bench, incoming('a'), { group: 'other', attempt: { error: 'Error: a' } })
      const groups = await store.admin.deadLetterGroups({})
      assert.deepEqual(groups.map(({ group, error, count }) => [group, error, count]).slice(0, 1), [[G, 'Error: a', 3]])
      assert.equal(groups.length, 3)
      assert.equal(groups[0]!.newest - groups[0]!.oldest >= 20, true)
    }),

    it('pages neither repeat nor leave out what was there all the time', async (bench) => {
      const { store, advance } = bench
      const messages: InboxMessage[] = []
      for (let i = 0; i < 10; i++) {
        messages.push(await kill(bench, incoming(`key ${i}`)))
        // Some die at the same instant.
        if (i % 3 === 0) await advance(1)
      }
      const all = ids(await store.admin.deadLetters({}, { limit: 100 }))
      assert.deepEqual(all, ids(messages).toReversed(), 'newest first')
      const seen: string[] = []
      let page: Page = { limit: 3 }
      for (let round = 0; ; round++) {
        const rows = await store.admin.deadLetters({}, page)
        seen.push(...ids(rows))
        if (rows.length < 3) break
        page = { limit: 3, after: rows.at(-1)!.cursor }
        // Between two pages new ones die, and one that was shown and one that was not come to life.
        await kill(bench, incoming('new'))
        if (round === 0) {
          await store.admin.replayDeadLetter({ group: G, id: all[0]! }, ACT)
          await store.admin.replayDeadLetter({ group: G, id: all[5]! }, ACT)
        }
      }
      assert.deepEqual(
        seen,
        all.filter((_, i) => i !== 5),
      )
    }),

    it('replay keeps id, key, content and place; of two at the same moment one does it', async (bench) => {
      const { store, other } = bench
      const message = await kill(bench, incoming('a'))
      const waiting = incoming('a')
      await store.inbox.block(G, waiting)
      const ref = { group: G, id: message.id }
      const answers = await Promise.all([
        store.admin.replayDeadLetter(ref, ACT),
        other.admin.replayDeadLetter(ref, ACT),
        store.admin.discardDeadLetter(ref, ACT),
      ])
      assert.equal(answers.filter(Boolean).length, 1)
      if (answers[2]) return
      assert.equal(await store.inbox.state(G, message.id), 'retrying')
      const { due } = await store.inbox.due([G], 10)
      assert.deepEqual(ids(due), [message.id])
      assert.deepEqual([due[0]!.key, [...due[0]!.body]], ['a', [...message.body]])
      assert.equal(await store.admin.deadLetter(ref), undefined)
      await retryWell(store, G, message.id)
      assert.equal(await store.inbox.state(G, waiting.id), 'retrying')
      assert.equal(await store.admin.replayDeadLetter(ref, ACT), false)
      assert.equal(await store.admin.replayDeadLetter({ group: G, id: 'nobody' }, ACT), false)
      assert.equal((await store.admin.auditTrail({ limit: 10 })).length, 1, 'what did nothing is not in the trail')
    }),

    it('discard gives a dead letter up for good and lets the next of its key go on', async (bench) => {
      const { store, other } = bench
      const message = await kill(bench, incoming('a'))
      const waiting = incoming('a')
      await store.inbox.block(G, waiting)
      const ref = { group: G, id: message.id }
      const answers = await Promise.all([
        store.admin.discardDeadLetter(ref, ACT),
        other.admin.discardDeadLetter(ref, ACT),
      ])
      assert.deepEqual(answers.toSorted(), [false, true])
      assert.equal(await store.inbox.state(G, message.id), 'discarded')
      assert.deepEqual(ids((await store.inbox.due([G], 10)).due), [waiting.id])
      assert.deepEqual(await store.admin.deadLetters({}, { limit: 10 }), [])
      const begin = await store.transaction((tx) => store.inbox.begin(tx, G, [message], true))
      assert.deepEqual(begin, ['duplicate'], 'another copy is not handled')
      assert.equal(await store.admin.replayDeadLetter(ref, ACT), false)
    }),

    it('an edit changes what is handled next and keeps the original', async (bench) => {
      const { store } = bench
      const message = await kill(bench, incoming('a', { body: new Uint8Array([1]) }))
      const ref = { group: G, id: message.id }
      assert.equal(await store.admin.editDeadLetter(ref, new Uint8Array([2]), ACT), true)
      assert.equal(await store.admin.editDeadLetter(ref, new Uint8Array([3]), ACT), true)
      const { body, originalBody } = (await store.admin.deadLetter(ref))!
      assert.deepEqual([[...body], [...originalBody!]], [[3], [1]])
      await store.admin.replayDeadLetter(ref, ACT)
      assert.equal(await store.admin.editDeadLetter(ref, new Uint8Array([4]), ACT), false, 'only while it is dead')
      assert.deepEqual([...(await dueRetry(store, G, message.id)).body], [3])
    }),

    it('each act is in the audit trail, the newest first, in pages', async (bench) => {
      const { store } = bench
      const message = await kill(bench, incoming('a'))
      const ref = { group: G, id: message.id }
      await store.admin.editDeadLetter(ref, new Uint8Array([2]), { by: 'kim' })
      await store.admin.replayDeadLetter(ref, { by: 'lee', reason: 'fixed' })
      await store.admin.audit({ by: 'max' }, 'half.commit', 'the half')
      const rows = await store.admin.auditTrail({ limit: 10 })
      assert.deepEqual(
        rows.map(({ by, reason }) => [by, reason]),
        [
          ['max', undefined],
          ['lee', 'fixed'],
          ['kim', undefined],
        ],
      )
      assert.deepEqual([rows[0]!.action, rows[0]!.target], ['half.commit', 'the half'])
      assert.ok(rows[1]!.target.includes(message.id) && rows[1]!.target.includes(G))
      const rest = await store.admin.auditTrail({ limit: 10, after: rows[0]!.cursor })
      assert.deepEqual(rest, rows.slice(1))
    }),

    it('half messages are listed by state, newest first, in pages', async ({ store }) => {
      const messages = [outgoing('a'), outgoing('b'), outgoing(undefined)]
      for (const message of messages) await store.half.prepare(message, { barrier: true, firstCheckIn: 1000 })
      await store.half.resolve(messages[1]!.id, 'rollback')
      const rows = await store.admin.halfMessages({}, { limit: 10 })
      assert.deepEqual(ids(rows), ids(messages).toReversed())
      assert.deepEqual(await store.admin.halfMessages({}, { limit: 10, after: rows[0]!.cursor }), rows.slice(1))
      const [gone] = await store.admin.halfMessages({ state: 'rolled-back' }, { limit: 10 })
      assert.deepEqual([gone?.id, gone?.nextCheckAt, gone?.barrier], [messages[1]!.id, undefined, true])
      assert.ok(gone?.decidedAt !== undefined)
      const open = await store.admin.halfMessages({ state: 'prepared' }, { limit: 1 })
      assert.deepEqual(ids(open), [messages[2]!.id])
      assert.equal(open[0]!.nextCheckAt! - open[0]!.preparedAt, 1000)
      assert.deepEqual([open[0]!.key, open[0]!.decidedAt, open[0]!.lastError], [undefined, undefined, undefined])
    }),

    it('held messages are listed by state, in pages', async ({ store, send, unsent, lease }) => {
      const deliverAt = new Date((await store.admin.overview()).now + 60_000)
      await send(outgoing('a'), outgoing('b'), outgoing('c', { deliverAt }))
      const holds = (await unsent()).map(({ position }) => {
        return { position, state: 'waiting', delay: 500, error: 'Error: no' } as const
      })
      await store.outbox.hold(await lease(), holds)
      const rows = await store.admin.heldMessages({}, { limit: 10 })
      assert.deepEqual(rows.map(({ state }) => state).toSorted(), ['delayed', 'waiting', 'waiting'])
      assert.deepEqual(await store.admin.heldMessages({}, { limit: 10, after: rows[0]!.cursor }), rows.slice(1))
      const [delayed] = await store.admin.heldMessages({ state: 'delayed' }, { limit: 10 })
      assert.deepEqual([delayed?.key, delayed?.dueAt, delayed?.error], ['c', deliverAt.getTime(), undefined])
    }),

    it('a cursor that no list gave out is refused', async ({ store }) => {
      const page = { limit: 10, after: 'x; DROP' }
      const lists = [
        () => store.admin.deadLetters({}, page),
        () => store.admin.auditTrail(page),
        () => store.admin.halfMessages({}, page),
        () => store.admin.heldMessages({}, page),
      ]
      for (const list of lists) await assert.rejects(list(), { code: 'CONFIG_INVALID' })
    }),

    it('the overview counts everything, and shows who is alive', async (bench) => {
      const { store, send, unsent, lease, advance } = bench
      const empty = await store.admin.overview()
      assert.deepEqual(empty.outbox, {
        unsent: 0,
        oldestAge: undefined,
        held: { delayed: 0, waiting: 0, behind: 0, unsendable: 0 },
      })
      assert.deepEqual([empty.inbox, empty.processes, empty.blockedKeys], [[], [], 0])
      assert.deepEqual(empty.oldest, { retrying: undefined, half: undefined, dead: undefined, finished: undefined })
      assert.equal(empty.schemaVersion, (await store.schema.status()).version)
      await send(outgoing('a'), outgoing('b'))
      await advance(1000)
      await send(outgoing('c', { deliverAt: new Date(empty.now + 1e9) }))
      await store.transaction((tx) => store.inbox.begin(tx, G, [incoming('x'), incoming('y')], true))
      await store.transaction((tx) => store.inbox.begin(tx, 'another', [incoming('x')], true))
      await kill(bench, incoming('a'))
      const discarded = await kill(bench, incoming('b'))
      await store.admin.discardDeadLetter({ group: G, id: discarded.id }, ACT)
      await store.inbox.recordFailure(G, incoming('c'), FAILED, RETRY_NOW, true)
      await store.inbox.block(G, incoming('a'))
      await store.half.prepare(outgoing('a'), { barrier: false, firstCheckIn: 0 })
      assert.equal((await unsent()).length, 2)
      const after = await store.admin.overview()
      assert.ok(after.now >= empty.now + 1000)
      assert.equal(after.outbox.unsent, 2)
      assert.ok(after.outbox.oldestAge !== undefined && after.outbox.oldestAge >= 1000)
      assert.equal(after.outbox.held.delayed, 1)
      assert.deepEqual(after.half, { prepared: 1, committed: 0, 'rolled-back': 0, undecided: 0 })
      assert.deepEqual(after.inbox, [
        { group: 'another', states: { handled: 1, retrying: 0, blocked: 0, dead: 0, discarded: 0 } },
        { group: G, states: { handled: 2, retrying: 1, blocked: 1, dead: 1, discarded: 1 } },
      ])
      assert.equal(after.blockedKeys, 2)
      for (const age of Object.values(after.oldest)) assert.ok(age !== undefined && age >= 0 && age < 60_000)
      const { size } = after
      assert.ok(size.bytes === undefined || size.bytes > 0)
      assert.deepEqual(
        size.tables.map(({ name }) => name),
        ['outbox', 'outbox_held', 'half', 'barrier', 'inbox', 'inbox_failure', 'inbox_attempt', 'audit'],
      )
      for (const { rows, bytes } of size.tables) {
        assert.ok(Number.isInteger(rows) && rows >= 0)
        assert.ok(bytes === undefined || Number.isInteger(bytes))
      }
      const [process] = after.processes
      assert.deepEqual([process?.id, process?.host, process?.pid, process?.alive], [RELAY.id, RELAY.host, 1, true])
      assert.deepEqual(process?.leases, (await lease()).map(({ name }) => name).toSorted())
      await advance(100_000_000)
      const later = await store.admin.overview()
      for (const age of Object.values(later.oldest)) assert.ok(age! >= 100_000_000)
      const [dead] = later.processes
      assert.ok(dead === undefined || (!dead.alive && dead.leases.length === 0))
    }),

    ...traceCases(options),
  ]
}
