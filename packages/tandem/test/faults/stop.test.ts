/** The end of a process that is told to end. */
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import type { Order } from './support/messages.ts'
import type { ServiceName } from './support/protocol.ts'
import { faultTest, sqliteTest } from './support/world.ts'

const LOSES = '16. stop() loses or doubles what was in flight'
const GONE = { code: 0, signal: null }
/** So long that a test which waits for one fails: whoever stops must give its leases back. */
const LONG = { lease: 30_000 }
/** Enough for the work itself on a loaded machine. */
const SOON = 10_000

faultTest(
  `${LOSES}: not under load, neither as a consumer nor as a producer, and the next goes on at once`,
  async (world) => {
    const running = { order: await world.start('order'), stock: await world.start('stock') }
    for (const name of ['stock', 'order', 'stock', 'order'] satisfies ServiceName[]) {
      const stopping = running[name]
      const telling = name === 'stock' ? 'message.handled' : 'message.published'
      const seen = stopping.reports.length
      const placed = running.order.ask('place', { orders: world.orders(64) })
      await stopping.event(telling, undefined, seen)
      await placed
      expect(await stopping.ask('stop', { deadline: 5000 })).toBeLessThan(5000)
      expect(await stopping.died()).toEqual(GONE)
      running[name] = await world.start(name)
    }
    await world.settled(SOON)
  },
  LONG,
)

faultTest(
  `${LOSES}: SIGTERM ends \`await using\`, and with it everything`,
  async (world) => {
    const [order, stock] = await Promise.all([world.start('order'), world.start('stock')])
    await order.ask('place', { orders: world.orders(64) })
    await stock.event('message.handled')
    for (const service of [order, stock]) service.signal('SIGTERM')
    expect(await Promise.all([order.died(), stock.died()])).toEqual([GONE, GONE])
    await Promise.all([world.start('order'), world.start('stock')])
    await world.settled(SOON)
  },
  LONG,
)

faultTest(
  `${LOSES}: it waits for the handler that runs, and what it did is committed`,
  async (world) => {
    const service = await world.start('order')
    const stock = await world.start('stock')
    const [held] = world.orders(1, { does: 'hold' }) as [Order]
    await service.ask('place', { orders: [held] })
    await stock.begun(held.order)
    const stopped = stock.ask('stop', {})
    await stock.ask('release', { order: held.order })
    await stopped
    expect(await stock.died()).toEqual(GONE)
    expect(world.books.effectCounts()).toEqual(new Map([[held.order, 1]]))
  },
  LONG,
)

for (const does of ['ignore-signal', 'fail-and-ignore-signal'] as const) {
  faultTest(`16. stop() comes back within its deadline, whatever a handler does (${does})`, async (world) => {
    const service = await world.start('order')
    const stock = await world.start('stock')
    const orders = world.orders(8, { does })
    await service.ask('place', { orders })
    const attempt = does === 'ignore-signal' ? 1 : 2
    await stock.reported((report) => report.kind === 'begun' && report.attempt === attempt, 'to begin')
    const took = await stock.ask('stop', { deadline: 300 })
    expect(took).toBeGreaterThanOrEqual(299)
    expect(took).toBeLessThan(300 + world.slack)
    expect(await stock.died()).toEqual(GONE)
    await world.start('stock', { holds: false })
    await world.settled()
  })
}

for (const file of ['stock', 'broker'] as const) {
  sqliteTest(`16. stop() comes back within its deadline while another process locks ${file}.db`, async (world) => {
    const service = await world.start('order')
    const stock = await world.start('stock')
    await service.ask('place', { orders: world.orders(8) })
    await world.settled()
    const other = new DatabaseSync(world.path(file), { timeout: 5000 })
    other.exec('BEGIN EXCLUSIVE')
    if (file === 'stock') await service.ask('place', { orders: world.orders(8) })
    const took = await stock.ask('stop', { deadline: 300 })
    other.exec('ROLLBACK')
    other.close()
    expect(took).toBeLessThan(300 + world.slack)
    expect(await stock.died()).toEqual(GONE)
    await world.start('stock')
    await world.settled()
  })
}
