/** Processes that do not agree about the time of day. */
import { expect } from 'vitest'
import type { Order } from './support/messages.ts'
import { faultTest } from './support/world.ts'

const HOUR = 3_600_000

faultTest(
  '14. Clocks of two hosts disagree: one jumps by an hour forth and back, and leases, schedules and due times stay',
  async (world) => {
    const [jumping, steady, stock] = await Promise.all([
      world.start('order'),
      world.start('order'),
      world.start('stock'),
    ])
    const leases = (): readonly object[] => [
      ...world.books.rows('order', 'SELECT name, owner, token FROM tandem_lease ORDER BY name'),
      ...world.books.rows('stock', 'SELECT name, owner, token FROM tandem_lease ORDER BY name'),
    ]
    const owners = 'SELECT count(DISTINCT owner) FROM tandem_lease WHERE name LIKE ?'
    do {
      await jumping.ask('place', { orders: world.orders(8) })
      await world.settled()
    } while (world.books.count('order', owners, 'relay/%') < 2)
    const before = leases()

    for (const ms of [HOUR, -HOUR, 0]) {
      await Promise.all([jumping.ask('jump', { ms }), stock.ask('jump', { ms })])
      const began = performance.now()
      const delayed = world.orders(2) as [Order, Order]
      await Promise.all([
        // Retries after 50 ms, checks after 200 ms.
        jumping.ask('place', { orders: world.orders(8, { does: 'fail-1' }) }),
        jumping.ask('transact', { order: world.orders(1)[0] as Order, limbo: 'committed' }),
        steady.ask('transact', { order: world.orders(1)[0] as Order, limbo: 'committed' }),
        jumping.ask('place', { orders: [delayed[0]], deliverIn: 600 }),
        steady.ask('place', { orders: [delayed[1]], deliverIn: 600 }),
      ])
      const early = (): boolean => delayed.some(({ order }) => world.books.effectCounts().has(order))
      await world.until(() => {
        // Read before the clock, so that what comes in time is not taken for early.
        if (early() && performance.now() - began < 600) throw new Error('a delayed message came before its time')
        return world.books.unfinished()
      }, 600 + world.soon)
    }
    expect(leases()).toEqual(before)
  },
  // Not so short that a loaded machine misses one.
  { lease: 3000 },
)
