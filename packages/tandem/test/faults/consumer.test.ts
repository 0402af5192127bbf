/** Consumers and their retries, where others double, reorder or loop for ever. */
import { expect } from 'vitest'
import type { Order } from './support/messages.ts'
import type { ServiceProcess } from './support/service-process.ts'
import { faultTest, LEASE, type World } from './support/world.ts'

function delivered(world: World, orders: readonly Order[]): readonly string[] {
  const counts = world.books.effectCounts()
  return orders.filter(({ order }) => !counts.has(order)).map(({ order }) => `${order} is not delivered`)
}

function effectsOfKey(world: World, key: string): readonly string[] {
  return world.books.effects().flatMap((effect) => (effect.key === key ? [effect.order] : []))
}

faultTest(
  '7. Two recoverers: a retry that was overtaken while its process was frozen changes nothing',
  async (world) => {
    const service = await world.start('order')
    const stale = await world.start('stock', { freezeAt: 'retry.begun' })
    await service.ask('place', { orders: world.orders(1, { does: 'fail-1' }) })
    await world.frozen(stale)
    await world.start('stock')
    await world.settled(LEASE + world.soon)
    stale.signal('SIGCONT')
    // It works on, and what it had begun is dropped.
    await service.ask('place', { orders: world.orders(16) })
    await world.settled(LEASE + world.soon)
  },
)

faultTest(
  '7. Two recoverers: what a frozen consumer had committed is a duplicate for the next',
  async (world) => {
    const service = await world.start('order')
    const stale = await world.start('stock', { freezeAt: 'consume.committed' })
    const placed = world.orders(8)
    await service.ask('place', { orders: placed })
    await world.frozen(stale)
    const fresh = await world.start('stock')
    await fresh.event('message.duplicate')
    await world.until(() => delivered(world, placed), LEASE + world.soon)
    stale.signal('SIGCONT')
    await service.ask('place', { orders: world.orders(16) })
    await world.settled(LEASE + world.soon)
  },
  // One at a time, so that it is not frozen in the midst of another one's transaction.
  { consume: { concurrency: 1 } },
)

for (const transaction of [true, false]) {
  const kind = transaction ? 'in its transaction' : 'outside of a transaction'
  faultTest(
    `8. Recovery waits for a claim's maximum run time: a handler ${kind} may run longer than the lease, and its process is missed within one`,
    async (world) => {
      const service = await world.start('order')
      const both = await Promise.all([world.start('stock'), world.start('stock')])
      const [held] = world.orders(1, { does: 'hold' }) as [Order]
      await service.ask('place', { orders: [held] })
      const which = await Promise.race(both.map((process, i) => process.begun(held.order).then(() => i)))
      const [holding, other] = [both[which], both[1 - which]] as [ServiceProcess, ServiceProcess]
      await other.ask('release', { order: held.order })
      const began = performance.now()
      // Two leases pass. SQLite has one writer: a handler in its transaction keeps the others from theirs, and they say so.
      const isOnlyWriter = transaction && world.database.kind === 'sqlite'
      while (performance.now() - began < 2 * LEASE) {
        if (isOnlyWriter) await other.event('loop.failed', undefined, other.reports.length)
        else {
          const orders = world.orders(8)
          await service.ask('place', { orders })
          await world.until(() => delivered(world, orders), world.soon)
        }
      }
      expect(holding.alive).toBe(true)
      expect(other.reports.filter((report) => report.kind === 'begun')).toEqual([])
      expect(delivered(world, [held])).not.toEqual([])
      // The broker writes acks a little later: one that was sent too early would be on the disk by now.
      expect(world.books.unacked('stock', 'orders.placed')).not.toEqual([])

      // Effects outside of a transaction happen at least once: only the one that is held is to be under way now.
      await world.until(() => world.books.unfinished().filter((text) => !text.startsWith(`${held.order} `)), world.soon)
      await holding.kill()
      await world.settled()
    },
    { ...(transaction && { lockTimeout: 200 }), consume: { transaction, concurrency: 4, retry: { delays: [50] } } },
  )
}

faultTest(
  "15. A key's messages overtake each other after a failure: those behind a failed one wait, other keys go on",
  async (world) => {
    const service = await world.start('order')
    const stock = await world.start('stock')
    const [failing, second, third, ...others] = world.orders(8) as [Order, Order, Order, ...Order[]]
    const ofOneKey = [{ ...failing, does: 'fail-2' as const }, second, third].map((order) => ({ ...order, key: 'k0' }))
    await service.ask('place', { orders: [...ofOneKey, ...others] })
    await stock.event('message.blocked')
    // What is blocked must not be forgotten when the process dies.
    await stock.kill()
    await world.start('stock')
    await world.settled()
    expect(effectsOfKey(world, 'k0')).toEqual(ofOneKey.map(({ order }) => order))
    expect(world.books.effects()[0]?.key).not.toBe('k0')
  },
  { consume: { ordered: true, retry: { delays: [200] } } },
)

faultTest(
  "15. A key's messages overtake each other after a failure: not after one of the broker, and not after deaths",
  async (world) => {
    const service = await world.start('order', { refuse: 'retryable' })
    const placed: Order[] = []
    const place = async (more: Partial<Order> = {}): Promise<void> => {
      const orders = world.orders(16).map((order, i) => (i === 3 ? { ...order, ...more } : order))
      placed.push(...orders)
      await service.ask('place', { orders })
    }
    await place({ refuse: true })
    for (let death = 1; death <= 4; death++) {
      const stock = await world.start('stock')
      await place({ does: 'fail-1' })
      // Somewhere in the midst, each time a little later.
      await stock.count('message.handled', 3 * death)
      await stock.kill()
    }
    await service.ask('accept', {})
    await world.start('stock')
    await world.settled(2000 + world.soon)
    for (const key of new Set(placed.map((order) => order.key))) {
      expect(effectsOfKey(world, key)).toEqual(placed.filter((order) => order.key === key).map(({ order }) => order))
    }
  },
  { consume: { ordered: true, retry: { delays: [50] } } },
)

for (const does of ['kill', 'exit'] as const) {
  faultTest(
    `17. A poison message kills the consumer in a loop (${does}): it ends as a dead letter, and the others are handled`,
    async (world) => {
      const service = await world.start('order')
      const [poison] = world.orders(1, { does }) as [Order]
      const innocent = world.orders(24)
      await service.ask('place', { orders: [...innocent.slice(0, 8), poison, ...innocent.slice(8)] })

      let deaths = 0
      let stock = await world.start('stock')
      const isDead = (): boolean => world.books.failures().some(({ state }) => state === 'dead')
      const ended = (): readonly string[] => (isDead() ? delivered(world, innocent) : ['the poison is not dead'])
      while (await died(stock, world.until(ended, LEASE + world.soon))) {
        deaths += 1
        expect(deaths).toBeLessThanOrEqual(6)
        stock = await world.start('stock')
      }
      // As many as the policy allows, and those that the broker counted before the inbox did.
      expect(deaths).toBeGreaterThanOrEqual(3)
      expect(world.books.failures()).toEqual([
        expect.objectContaining({
          state: 'dead',
          error: expect.stringContaining('the process died in attempt') as string,
        }),
      ])
      expect(world.books.effectCounts().has(poison.order)).toBe(false)
      expect(stock.alive).toBe(true)
    },
    { consume: { retry: { maxAttempts: 3, delays: [50] } } },
  )
}

/** Whether the process died before what was waited for came. */
async function died(service: ServiceProcess, waited: Promise<unknown>): Promise<boolean> {
  const won = await Promise.race([service.exited.then(() => 'death'), waited])
  waited.catch(() => undefined)
  return won === 'death'
}
