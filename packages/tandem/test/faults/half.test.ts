/** Half messages and their checks, where others lose or invent a commit. */
import { expect } from 'vitest'
import type { Order } from './support/messages.ts'
import { faultTest, type World } from './support/world.ts'

const OFTEN = { transactionTimeOut: 100, transactionCheckInterval: 100, transactionCheckMax: 3 }

function one(world: World, more: Partial<Order> = {}): Order {
  const [order] = world.orders(1, more)
  return order as Order
}

faultTest(
  '1. A half message is discarded because nobody was online to answer: it waits, however long',
  async (world) => {
    await world.start('stock')
    const order = one(world, { answer: 'commit' })
    const dying = await world.start('order', { check: OFTEN, killAt: 'half.prepared' })
    await expect(dying.ask('prepare', { order })).rejects.toThrow(/died/)

    // A process of the service, but not one that can answer for this type. For another type it can, and gives up after three answers.
    const other = await world.start('order', { check: OFTEN, checks: ['orders.noted'] })
    await other.ask('prepare', { order: one(world, { answer: 'unknown' }), noted: true })
    await other.event('half.undecided')
    expect(world.books.halves()).toMatchObject([
      { state: 'prepared', answered: 0 },
      { state: 'undecided', answered: 3 },
    ])

    await other.ask('write', { order })
    await world.start('order', { check: OFTEN })
    await world.until(() => (world.books.effectCounts().has(order.order) ? [] : ['not delivered']), world.soon)
  },
)

faultTest(
  '2. An error or an odd answer counts as commit: it is unknown, and a person decides in the end',
  async (world) => {
    await world.start('stock')
    const service = await world.start('order', { check: OFTEN })
    const answers = ['throw', 'true', 'COMMIT', 'nothing', 'object'] as const
    const ids: string[] = []
    for (const answer of answers) ids.push(await service.ask('prepare', { order: one(world, { answer }) }))
    for (const id of ids) await service.event('half.undecided', (event) => event['id'] === id)

    expect(world.books.halves()).toEqual(ids.map((id) => ({ id, state: 'undecided', answered: 3 })))
    expect(service.events('half.checked').map(({ answer }) => answer)).toEqual(Array(15).fill('unknown'))
    expect(world.books.rows('order', 'SELECT id FROM tandem_half WHERE last_error IS NULL')).toEqual([])
    expect(world.books.published()).toEqual([])

    const [first = '', ...others] = ids
    await service.ask('write', { order: { order: 'o0', key: 'k0' } })
    await service.ask('decide', { id: first, decision: 'commit' })
    for (const id of others) await service.ask('decide', { id, decision: 'rollback' })
    await world.settled()
    expect([...world.books.effectCounts().keys()]).toEqual(['o0'])
  },
  // An answer by a process that has lost its lease meanwhile is told and not counted.
  { lease: 10_000 },
)

faultTest(
  '3. A check rolls back while the local transaction is still open: it answers unknown',
  async (world) => {
    await world.start('stock')
    // The first takes the lease for checks.
    const checking = await world.start('order', { check: OFTEN })
    const acting = await world.start('order', { check: OFTEN })
    const order = one(world)
    const acted = acting.ask('transact', { order, hold: true })
    await acting.begun(order.order)
    await checking.event('half.checked', ({ answer }) => answer === 'unknown')
    expect(world.books.halves()).toMatchObject([{ state: 'prepared' }])
    expect(world.books.barriers().size).toBe(0)

    await acting.ask('release', { order: order.order })
    await acted
    await world.settled()
    expect(world.books.orders().has(order.order)).toBe(true)
    // An open transaction keeps the leases from being renewed: this one is to be asked for as long as it is open.
  },
  { lease: 10_000 },
)

faultTest('3. A check rolls back, and then the local transaction begins: it must fail, and say why', async (world) => {
  const checking = await world.start('order', { check: OFTEN })
  const late = await world.start('order', { check: OFTEN, freezeAt: 'half.prepared' })
  const acted = late.ask('transact', { order: one(world) })
  await world.frozen(late)
  await checking.event('half.resolved', ({ state }) => state === 'rolled-back')

  late.signal('SIGCONT')
  await expect(acted).rejects.toMatchObject({ code: 'BARRIER_CLOSED' })
  await world.settled()
  expect(world.books.orders().size).toBe(0)
  expect(world.books.published()).toEqual([])
})

faultTest(
  '7. Two recoverers: a check that was overtaken while its process was frozen decides nothing again',
  async (world) => {
    await world.start('stock')
    const stale = await world.start('order', { check: OFTEN, freezeAt: 'check.answered' })
    const acted = stale.ask('transact', { order: one(world), limbo: 'committed' })
    await world.frozen(stale)
    const fresh = await world.start('order', { check: OFTEN })
    await fresh.event('half.resolved', ({ state }) => state === 'committed')
    stale.signal('SIGCONT')
    await acted
    await stale.ask('place', { orders: world.orders(8) })
    await world.settled()
    expect(stale.events('half.resolved')).toEqual([])
  },
)

faultTest('A local transaction that fails takes its half message back at once, without a check', async (world) => {
  const service = await world.start('order', { check: { transactionTimeOut: 60_000 } })
  await expect(service.ask('transact', { order: one(world), fail: true })).rejects.toThrow(/the business said no/)
  expect(world.books.halves()).toMatchObject([{ state: 'rolled-back' }])
  expect(world.books.orders().size).toBe(0)
})
