/** The outbox and its relay, where others skip, block or double. */
import { expect } from 'vitest'
import type { Order } from './support/messages.ts'
import { faultTest, sqliteTest, type World } from './support/world.ts'

/** The effects of a key come in its order. */
const IN_ORDER = { consume: { ordered: true } }
/** Milliseconds of a lease that does not run out in a test, however loaded the machine is. */
const LONG = 20_000

function delivered(world: World, orders: readonly Order[]): readonly string[] {
  const counts = world.books.effectCounts()
  return orders.filter(({ order }) => !counts.has(order)).map(({ order }) => `${order} is not delivered`)
}

function effectsOfKey(world: World, key: string): readonly string[] {
  return world.books.effects().flatMap((effect) => (effect.key === key ? [effect.order] : []))
}

sqliteTest(
  '4. A row with a lower sequence number commits later: SQLite has one writer, so it cannot',
  async (world) => {
    await world.start('stock')
    // The impatient one first: while others start, it might find the database locked for longer than it waits.
    const impatient = await world.start('order', { lockTimeout: 100 })
    const [slow, waiting] = await Promise.all([world.start('order'), world.start('order')])
    const [first, second, refused] = world.orders(3).map((order) => ({ ...order, key: 'k0' })) as [Order, Order, Order]
    const slowly = slow.ask('placeSlowly', { orders: [first] })
    await slow.begun(first.order)
    const placed = waiting.ask('place', { orders: [second] })
    // Whoever wants the next number has to wait for the one before to be committed, or gives up.
    await expect(impatient.ask('place', { orders: [refused] })).rejects.toMatchObject({ code: 'STORE_BUSY' })
    expect(world.books.orders().size).toBe(0)

    await slow.ask('release', { order: first.order })
    await Promise.all([slowly, placed])
    await world.settled()
    expect(effectsOfKey(world, 'k0')).toEqual([first.order, second.order])
  },
)

faultTest(
  '4. A row comes back with a lower sequence number than what was published: it is not skipped',
  async (world) => {
    await world.start('stock')
    const service = await world.start('order', { refuse: 'retryable' })
    const [first, ...others] = world.orders(8) as [Order, ...Order[]]
    await service.ask('place', { orders: [{ ...first, refuse: true }] })
    await service.event('message.held')
    await service.ask('place', { orders: others })
    await world.until(() => delivered(world, others), world.soon)
    // Its place is below that of everything that has gone.
    const [held] = world.books.rows(
      'order',
      'SELECT position FROM tandem_outbox_held UNION SELECT position FROM tandem_outbox',
    )
    expect(held?.['position']).toBe(1)

    await service.ask('accept', {})
    await world.settled(2000 + world.soon)
  },
)

faultTest(
  '6. One unsendable row blocks all others: it holds back its own key alone, in order',
  async (world) => {
    await world.start('stock')
    const service = await world.start('order', { refuse: 'permanent' })
    const [bad, next, last, ...others] = world.orders(24) as [Order, Order, Order, ...Order[]]
    const ofItsKey = [bad, next, last].map((order) => ({ ...order, key: 'bad' }))
    await service.ask('place', { orders: ofItsKey.map((order) => ({ ...order, refuse: order.order === bad.order })) })
    await service.event('message.unsendable')
    await service.ask('place', { orders: others })
    await world.until(() => delivered(world, others), world.soon)
    expect(world.books.held().map(({ key, state }) => `${key} ${state}`)).toEqual([
      'bad unsendable',
      'bad behind',
      'bad behind',
    ])

    await service.ask('accept', {})
    await service.ask('retryHeld', { ids: [world.books.held()[0]?.id ?? ''] })
    await world.settled()
    expect(effectsOfKey(world, 'bad')).toEqual(ofItsKey.map(({ order }) => order))
  },
  IN_ORDER,
)

faultTest('7. Two recoverers: a relay that lost its lease can change nothing', async (world) => {
  await world.start('stock')
  // This one would set everything aside as unsendable, had it still the right to.
  const stale = await world.start('order', { freezeAt: 'relay.read', refuse: 'permanent' })
  const placed = stale.ask('place', { orders: world.orders(8, { refuse: true }) })
  await world.frozen(stale)
  // This one takes over for long, and is held up when everything is published and nothing is removed.
  const fresh = await world.start('order', { freezeAt: 'relay.published', lease: LONG })
  await world.frozen(fresh)
  const published = world.books.published()

  stale.signal('SIGCONT')
  await stale.event('loop.failed', (event) => (event['error'] as { code: string }).code === 'LEASE_LOST')
  expect(stale.events('message.unsendable')).toEqual([])
  expect(world.books.held()).toEqual([])
  fresh.signal('SIGCONT')
  await placed
  await world.settled()
  expect(new Set(world.books.published())).toEqual(new Set(published))
  // Both work on.
  await stale.ask('place', { orders: world.orders(8) })
  await world.settled()
})

faultTest(
  '13. An unroutable message counts as published: it waits, in sight, until somebody takes it',
  async (world) => {
    await world.start('stock')
    const service = await world.start('order', { refuse: 'retryable' })
    await service.ask('place', { orders: world.orders(1, { refuse: true }) })
    await service.event('message.held', ({ error }) => String(error).includes('nobody has declared a queue'))
    await service.event('message.held', undefined, service.reports.length)
    expect(service.events('message.published')).toEqual([])
    expect(world.books.published()).toEqual([])
    await service.ask('accept', {})
    await world.settled(2000 + world.soon)
  },
)

faultTest('13. An unroutable message counts as published: after relay.giveUpAfter it is unsendable', async (world) => {
  const service = await world.start('order', { refuse: 'retryable', relay: { giveUpAfter: 200 } })
  await service.ask('place', { orders: world.orders(1, { refuse: true }) })
  await service.event('message.unsendable')
  expect(world.books.held()).toMatchObject([{ state: 'unsendable' }])
})
