/** Dead letters, where others change them, lose sight of them or double them. */
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import type { Order } from './support/messages.ts'
import { faultTest, type World } from './support/world.ts'

const ONE_ATTEMPT = { consume: { retry: { maxAttempts: 1 } } }

/** Resolves when so many are dead. */
async function dead(world: World, count: number): Promise<readonly string[]> {
  const ids = (): string[] => world.books.failures().flatMap(({ id, state }) => (state === 'dead' ? [id] : []))
  await world.until(() => (ids().length < count ? [`${ids().length} are dead`] : []), world.soon)
  return ids()
}

/** As a broker does that delivers a copy long after. */
function publishAgain(world: World, id: string): void {
  const db = new DatabaseSync(world.path('broker'), { timeout: 5000 })
  db.prepare(
    `INSERT INTO broker_message (topic, partition, published_at, id, key, headers, body)
      SELECT topic, partition, published_at, id, key, headers, body FROM broker_message WHERE id = ?`,
  ).run(id)
  db.close()
}

faultTest(
  '11. Dead-letter replay changes the id, hits another set than the one shown, or duplicates on a double click',
  async (world) => {
    const service = await world.start('order')
    const [first, second] = await Promise.all([world.start('stock'), world.start('stock')])
    await service.ask('place', { orders: world.orders(5, { does: 'fail-1' }) })
    const shown = await dead(world, 5)
    const refs = await first.ask('resolve', {})
    expect(refs.map(({ id }) => id).toSorted()).toEqual(shown.toSorted())
    // One more dies after the list was shown.
    await service.ask('place', { orders: world.orders(1, { does: 'fail-1' }) })
    const [late] = (await dead(world, 6)).filter((id) => !shown.includes(id))

    const clicks = await Promise.all([first, second, first].map((process) => process.ask('replay', { refs })))
    for (const i of refs.keys()) {
      expect(clicks.filter((outcomes) => outcomes[i] === 'replayed')).toHaveLength(1)
    }
    await world.until(
      () => world.books.unfinished().filter((text) => /is retrying|not confirmed/.test(text)),
      world.soon,
    )
    expect(
      world.books
        .effects()
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(shown.toSorted())
    expect(world.books.effects().map(({ attempt }) => attempt)).toEqual([2, 2, 2, 2, 2])
    expect(world.books.failures()).toEqual([expect.objectContaining({ id: late, state: 'dead' })])
    expect(world.books.count('stock', 'SELECT count(*) FROM tandem_audit')).toBe(5)
  },
  ONE_ATTEMPT,
)

faultTest(
  '11. Dead-letter replay changes the place: the messages of its key have waited, and follow in order',
  async (world) => {
    const service = await world.start('order')
    const stock = await world.start('stock')
    const ofOneKey = world
      .orders(4)
      .map((order, i) => ({ ...order, key: 'k0', ...(i === 0 && { does: 'fail-1' as const }) }))
    await service.ask('place', { orders: ofOneKey })
    await world.until(() => (world.books.failures().length < 4 ? ['not all are set aside'] : []), world.soon)
    expect(world.books.failures().map(({ state }) => state)).toEqual(['dead', 'blocked', 'blocked', 'blocked'])
    await stock.ask('replay', {})
    await world.settled()
    expect(world.books.effects().map(({ order }) => order)).toEqual(ofOneKey.map(({ order }) => order))
  },
  { consume: { ordered: true, retry: { maxAttempts: 1 } } },
)

faultTest(
  '12. The dedupe record expires before the dead letter it protects',
  async (world) => {
    const service = await world.start('order')
    const before = await world.start('stock')
    const [bad, good] = [...world.orders(1, { does: 'fail-1' }), ...world.orders(1)] as [Order, Order]
    await service.ask('place', { orders: [bad, good] })
    const [id = ''] = await dead(world, 1)
    await world.until(() => (world.books.effectCounts().has(good.order) ? [] : ['not handled']), world.soon)
    await before.ask('stop', {})

    // Everything that is finished expires after a millisecond, and who starts clears away.
    const stock = await world.start('stock')
    const kept = (): number =>
      world.books.count(
        'stock',
        'SELECT count(*) FROM tandem_inbox i JOIN effects e USING (message_id) WHERE e.order_id = ?',
        good.order,
      )
    for (const began = performance.now(); kept() > 0;) {
      expect(performance.now() - began).toBeLessThan(world.soon)
      const [next] = world.orders(1) as [Order]
      await service.ask('place', { orders: [next] })
      await world.until(() => (world.books.effectCounts().has(next.order) ? [] : ['not handled']), world.soon)
    }
    expect(world.books.failures()).toMatchObject([{ id, state: 'dead' }])

    // A late copy finds the record.
    publishAgain(world, id)
    await stock.event('message.duplicate', (event) => event['id'] === id)
    expect(world.books.failures()).toMatchObject([{ id, state: 'dead', attempts: 1 }])
    await stock.ask('replay', {})
    await world.settled()
    expect(world.books.effects().filter((effect) => effect.id === id)).toMatchObject([{ order: bad.order, attempt: 2 }])
  },
  { ...ONE_ATTEMPT, retention: { inbox: 1 } },
)
