import assert from 'node:assert/strict'
import { uuidv7 } from '../core/ids.ts'
import type { TraceRow } from '../spi/admin-store.ts'
import type { InboxMessage, OutgoingMessage } from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'
import { DEAD, FAILED, ids, incoming, outgoing, storeCases, type StoreConformanceOptions } from './store-kit.ts'

/** What became of a message. */
export function traceCases<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  const it = storeCases(options, 'trace')
  const causedBy = (cause: string, correlation = cause): OutgoingMessage => {
    const id = uuidv7()
    const headers = {
      'ce-id': id,
      'ce-source': 'conformance',
      'ce-time': '2026-01-02T03:04:05.678Z',
      'ce-causationid': cause,
      'ce-correlationid': correlation,
    }
    return outgoing('a', { id, headers })
  }
  const received = (message: OutgoingMessage): InboxMessage =>
    incoming(message.key, {
      id: message.id,
      causationId: message.headers['ce-causationid'],
      correlationId: message.headers['ce-correlationid'] ?? message.id,
    })
  const places = (rows: readonly TraceRow[], id: string): string[] =>
    rows.filter((row) => row.id === id).map(({ place }) => `${place.kind} ${place.state}`)

  return [
    it('knows nothing of an unknown message', async ({ store }) => {
      assert.deepEqual(await store.admin.trace('nobody'), [])
    }),

    it('tells each place of a message', async ({ store, send, unsent, lease }) => {
      const [waiting, half] = [outgoing('a'), outgoing('b')]
      const delayed = outgoing('c', { deliverAt: new Date((await store.admin.overview()).now + 60_000) })
      await send(waiting, delayed)
      const hold = { position: (await unsent())[0]!.position, state: 'waiting', delay: 0, error: 'Error: no' } as const
      await store.outbox.hold(await lease(), [hold])
      await store.half.prepare(half, { barrier: false, firstCheckIn: 0 })
      const [held] = await store.admin.trace(waiting.id)
      const { place, ...facts } = held!
      assert.deepEqual(facts, {
        id: waiting.id,
        type: waiting.type,
        topic: waiting.topic,
        key: 'a',
        source: 'conformance',
        sentAt: Date.parse('2026-01-02T03:04:05.678Z'),
        causationId: undefined,
        correlationId: waiting.id,
      })
      assert.ok(place.kind === 'outbox' && place.error === 'Error: no')
      assert.deepEqual(places(await store.admin.trace(waiting.id), waiting.id), ['outbox waiting'])
      assert.deepEqual(places(await store.admin.trace(delayed.id), delayed.id), ['outbox delayed'])
      assert.deepEqual(places(await store.admin.trace(half.id), half.id), ['half prepared'])
      await store.half.resolve(half.id, 'commit')
      const both = places(await store.admin.trace(half.id), half.id)
      assert.deepEqual(both.toSorted(), ['half committed', 'outbox unsent'])
      const inbox = received(waiting)
      await store.transaction((tx) => store.inbox.begin(tx, 'one', [inbox], false))
      await store.inbox.recordFailure('two', inbox, FAILED, DEAD, false)
      const rows = await store.admin.trace(waiting.id)
      assert.deepEqual(places(rows, waiting.id).toSorted(), ['inbox dead', 'inbox handled', 'outbox waiting'])
      for (const row of rows) assert.deepEqual([row.topic, row.key], ['conformance', 'a'])
      const dead = rows.find((row) => row.place.state === 'dead')
      assert.ok(dead?.place.kind === 'inbox' && dead.place.group === 'two')
      assert.deepEqual(
        dead.place.attempts.map(({ attempt, error }) => [attempt, error]),
        [[1, FAILED.error]],
      )
    }),

    it('follows what a message caused, directly or through others, and nothing else', async ({ store, send }) => {
      const root = outgoing('a')
      const child = causedBy(root.id)
      const grandchild = causedBy(child.id, root.id)
      const sibling = causedBy('another', root.id)
      const half = causedBy(grandchild.id, root.id)
      // The child was sent by another service: this one only received it.
      await store.transaction((tx) => store.inbox.begin(tx, 'one', [received(child)], false))
      await send(grandchild, sibling)
      await store.half.prepare(half, { barrier: false, firstCheckIn: 0 })
      const rows = await store.admin.trace(root.id)
      assert.deepEqual(ids(rows).toSorted(), ids([child, grandchild, half]).toSorted())
      assert.equal(rows.find(({ id }) => id === grandchild.id)?.causationId, child.id)
      assert.deepEqual(ids(await store.admin.trace(half.id)), [half.id])
    }),

    it('ends although a message names itself as its cause', async ({ store, send }) => {
      const id = uuidv7()
      await send(outgoing('a', { id, headers: { 'ce-id': id, 'ce-causationid': id } }))
      assert.deepEqual(ids(await store.admin.trace(id)), [id])
    }),
  ]
}
