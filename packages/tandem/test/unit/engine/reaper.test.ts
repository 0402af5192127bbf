import { describe, expect, test } from 'vitest'
import { Reaper } from '../../../src/engine/reaper.ts'
import { turns, until } from '../../support/clock.ts'
import { engineKit, leasesOn, storeWith } from '../../support/engine.ts'
import { rows } from '../../support/store.ts'

const NO_SIGNAL = new AbortController().signal
const RETENTION = { inbox: 7000, half: 5000 }

async function setUp() {
  const kit = await engineKit()
  const leases = await leasesOn(kit.runtime, ['reaper'])
  const tick = async (): Promise<number> => {
    await leases.tick()
    return new Reaper(kit.runtime, leases, RETENTION).tick(NO_SIGNAL)
  }
  const inbox = (): string[] =>
    rows<{ state: string }>(kit.db, 'SELECT state FROM tandem_inbox ORDER BY state').map(({ state }) => state)
  return { ...kit, leases, tick, inbox }
}

const inboxMessage = async (kit: Awaited<ReturnType<typeof setUp>>, n: number) => {
  const outgoing = await kit.outgoing(n)
  return { ...outgoing, source: 'test', sentAt: 0, causationId: undefined, correlationId: outgoing.id }
}

describe('finished records', () => {
  test('go when they are older than their retention, and nothing unfinished ever', async () => {
    const kit = await setUp()
    const { store, clock } = kit
    const attempt = { error: 'x', stack: '', process: 'host:1' }
    await store.transaction(async (tx) => store.inbox.begin(tx, 'g', [await inboxMessage(kit, 1)], false))
    const retrying = { state: 'retrying', delay: 0 } as const
    const dead = { state: 'dead', reason: 'not-retryable' } as const
    await store.inbox.recordFailure('g', await inboxMessage(kit, 2), attempt, retrying, false)
    await store.inbox.recordFailure('g', await inboxMessage(kit, 3), attempt, dead, false)
    for (const n of [4, 5, 6]) {
      const half = await kit.outgoing(n)
      await store.half.prepare(half, { barrier: false, firstCheckIn: 1000 })
      if (n > 4) await store.half.resolve(half.id, n === 5 ? 'commit' : 'rollback')
    }
    const halves = (): number => rows(kit.db, 'SELECT 1 FROM tandem_half').length

    clock.jump(RETENTION.half)
    await kit.tick()
    expect([kit.inbox(), halves()]).toEqual([['dead', 'handled', 'retrying'], 3])
    clock.jump(1)
    await kit.tick()
    expect([kit.inbox(), halves()]).toEqual([['dead', 'handled', 'retrying'], 1])
    clock.jump(RETENTION.inbox)
    await kit.tick()
    clock.jump(365 * 86_400_000)
    await kit.tick()
    expect([kit.inbox(), halves()]).toEqual([['dead', 'retrying'], 1])
    const history = rows(kit.db, 'SELECT 1 FROM tandem_inbox_attempt')
    expect(history, 'what is known of them stays as well').toHaveLength(2)
  })

  test('go in small transactions, with a pause between them, until none is left', async () => {
    const kit = await setUp()
    const messages = await Promise.all(Array.from({ length: 1200 }, (_, n) => inboxMessage(kit, n)))
    await kit.store.transaction((tx) => kit.store.inbox.begin(tx, 'g', messages, false))
    kit.clock.jump(RETENTION.inbox + 1)
    await kit.leases.tick()
    const sizes: number[] = []
    const store = storeWith(kit.store, {
      inbox: {
        expire: async (...given) => {
          const gone = await kit.store.inbox.expire(...given)
          sizes.push(gone)
          return gone
        },
      },
    })
    const reaper = new Reaper({ ...kit.runtime, store }, kit.leases, RETENTION)
    const ticking = reaper.tick(NO_SIGNAL)
    await until(() => sizes.length === 1)
    await turns()
    expect(sizes, 'others get their turn').toEqual([500])
    await kit.clock.advance(10)
    await kit.clock.advance(10)
    expect(await ticking).toBe(60_000)
    expect(sizes).toEqual([500, 500, 200])
  })
})

test('one process does it, and another looks again soon', async () => {
  const kit = await setUp()
  const other = kit.another()
  const reaper = new Reaper(other, await leasesOn(other, ['reaper']), RETENTION)
  expect(await reaper.tick(NO_SIGNAL)).toBe(10_000)
  expect(await kit.tick()).toBe(60_000)
})

test('stop() ends it between two batches', async () => {
  const kit = await setUp()
  let calls = 0
  const expire = async (): Promise<number> => {
    calls += 1
    return 500
  }
  const store = storeWith(kit.store, { inbox: { expire } })
  const reaper = new Reaper({ ...kit.runtime, store }, kit.leases, RETENTION)
  reaper.start()
  await until(() => calls === 1)
  await reaper.stop()
  expect(calls).toBe(1)
})
