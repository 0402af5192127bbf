// Half messages, the outbox and the audit trail.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ACT, emptyWorld, held, id, prepared, undecided, unsent, type World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await emptyWorld()
})
afterEach(() => world.close())

describe('half messages', () => {
  test('are listed with where they stand', async () => {
    await undecided(world.order, { id: id(1), key: 'o-1' })
    await prepared(world.stock, { id: id(2) }, { barrier: true })
    expect((await world.admin.half.list({ state: 'undecided' })).items).toMatchInlineSnapshot(`
      [
        {
          "answered": 1,
          "barrier": false,
          "decidedAt": null,
          "id": "01930000-0000-7000-8000-000000000001",
          "key": "o-1",
          "lastError": "Error: the legacy system is down",
          "nextCheckAt": null,
          "preparedAt": "2026-03-01T12:00:00.000Z",
          "service": "order",
          "state": "undecided",
          "topic": "orders.placed",
          "type": "orders.placed",
        },
      ]
    `)
    expect((await world.admin.half.list()).items.map((item) => item.id).toSorted()).toEqual([id(1), id(2)])
    expect(await world.admin.half.show(id(2))).toMatchObject({ service: 'stock', barrier: true, state: 'prepared' })
  })

  test('a commit lets the message go, and is written down', async () => {
    await undecided(world.order, { id: id(1) })
    expect(await world.admin.half.decide(id(1), 'commit', ACT)).toEqual({
      service: 'order',
      id: id(1),
      state: 'committed',
      outcome: 'decided',
    })
    expect((await world.order.admin.overview()).outbox.unsent).toBe(1)
    expect((await world.admin.audit()).items).toMatchObject([
      { service: 'order', by: 'kim', action: 'half.commit', target: id(1), reason: 'a test' },
    ])
  })

  test('a rollback lets nothing go', async () => {
    await prepared(world.order, { id: id(1) })
    expect(await world.admin.half.decide(id(1), 'rollback', ACT)).toMatchObject({ state: 'rolled-back' })
    expect((await world.order.admin.overview()).outbox.unsent).toBe(0)
  })

  test('the same decision again changes nothing, the other one is refused', async () => {
    await undecided(world.order, { id: id(1) })
    await world.admin.half.decide(id(1), 'commit', ACT)
    expect(await world.admin.half.decide(id(1), 'commit', ACT)).toMatchObject({ outcome: 'repeated' })
    await expect(world.admin.half.decide(id(1), 'rollback', ACT)).rejects.toMatchObject({ code: 'HALF_DECIDED' })
    expect((await world.admin.audit()).items).toHaveLength(1)
  })

  test('a barrier that is there allows the commit alone', async () => {
    await prepared(world.order, { id: id(1) }, { barrier: true })
    await world.order.transaction((tx) => world.order.half.insertBarrier(tx, id(1)))
    await expect(world.admin.half.decide(id(1), 'rollback', ACT)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await world.admin.half.decide(id(1), 'commit', ACT)).toMatchObject({ state: 'committed' })
  })

  test('a barrier that is not there allows the rollback alone, and the local transaction comes too late', async () => {
    await prepared(world.order, { id: id(1) }, { barrier: true })
    await expect(world.admin.half.decide(id(1), 'commit', ACT)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await world.admin.half.decide(id(1), 'rollback', ACT)).toMatchObject({ state: 'rolled-back' })
    const late = world.order.transaction((tx) => world.order.half.insertBarrier(tx, id(1)))
    await expect(late).rejects.toMatchObject({ code: 'BARRIER_CLOSED' })
  })

  test('while the local transaction is open, nothing can be decided', async () => {
    await prepared(world.order, { id: id(1) }, { barrier: true })
    const begun = Promise.withResolvers<void>()
    const mayEnd = Promise.withResolvers<void>()
    const local = world.order.transaction(async (tx) => {
      await world.order.half.insertBarrier(tx, id(1))
      begun.resolve()
      await mayEnd.promise
    })
    await begun.promise
    await expect(world.admin.half.decide(id(1), 'rollback', ACT)).rejects.toMatchObject({ code: 'STORE_BUSY' })
    mayEnd.resolve()
    await local
    expect(await world.admin.half.show(id(1))).toMatchObject({ state: 'prepared' })
  })

  test('an unknown one, and an odd decision', async () => {
    await expect(world.admin.half.decide(id(9), 'commit', ACT)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(world.admin.half.show(id(9))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await undecided(world.order, { id: id(1) })
    const odd = world.admin.half.decide(id(1), 'unknown' as 'commit', ACT)
    await expect(odd).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('the outbox', () => {
  test('shows what is kept back', async () => {
    await unsent(world.order, { id: id(1) })
    await held(world.order, { id: id(2), key: 'k' }, 'unsendable', 'too large')
    await held(world.stock, { id: id(3) }, 'waiting')
    expect((await world.admin.outbox.held({ state: 'unsendable' })).items).toEqual([
      {
        service: 'order',
        id: id(2),
        topic: 'orders.placed',
        type: 'orders.placed',
        key: 'k',
        state: 'unsendable',
        attempts: 1,
        error: 'too large',
        dueAt: null,
      },
    ])
    expect((await world.admin.outbox.held()).items.map((item) => item.id).toSorted()).toEqual([id(2), id(3)])
    expect((await world.admin.outbox.held({ service: 'stock' })).items).toHaveLength(1)
  })

  test('retry and discard find the service, and answer for each', async () => {
    await held(world.order, { id: id(1) }, 'unsendable')
    await held(world.stock, { id: id(2) }, 'unsendable')
    await held(world.stock, { id: id(3) }, 'waiting')
    expect((await world.admin.outbox.discard([id(1), id(1), id(3), id(4)], ACT)).results).toEqual([
      { id: id(1), service: 'order', outcome: 'discarded' },
      { id: id(3), service: null, outcome: 'not-held' },
      { id: id(4), service: null, outcome: 'not-held' },
    ])
    expect((await world.admin.outbox.retry([id(2)], ACT)).results).toEqual([
      { id: id(2), service: 'stock', outcome: 'retried' },
    ])
    expect((await world.admin.outbox.retry([id(3)], ACT, { service: 'order' })).results).toMatchObject([
      { outcome: 'not-held' },
    ])
    expect((await world.admin.outbox.held({ state: 'waiting' })).items).toHaveLength(2)
    const actions = (await world.admin.audit()).items.map(({ action, target }) => [action, target])
    expect(actions.map(String).toSorted()).toEqual([`outbox.discard,${id(1)}`, `outbox.retry,${id(2)}`])
  })
})

test('the audit trail goes over all services, page by page', async () => {
  for (const n of [1, 2, 3]) await undecided(world.order, { id: id(n) })
  for (const n of [1, 2, 3]) await world.admin.half.decide(id(n), 'commit', { by: 'kim' })
  await held(world.stock, { id: id(4) }, 'unsendable')
  await world.admin.outbox.discard([id(4)], { by: 'lee' })
  const first = await world.admin.audit({}, { limit: 3 })
  const second = await world.admin.audit({}, { limit: 3, cursor: first.next! })
  expect(first.items).toHaveLength(3)
  expect([...first.items, ...second.items].map(({ target }) => target).toSorted()).toEqual([1, 2, 3, 4].map(id))
  expect(second.next).toBeNull()
  expect((await world.admin.audit({ service: 'stock' })).items).toMatchObject([{ by: 'lee', reason: null }])
})
