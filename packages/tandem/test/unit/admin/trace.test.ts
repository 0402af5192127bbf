import { afterEach, beforeEach, expect, test } from 'vitest'
import { createAdmin, type AdminBroker, type TraceNode } from '../../../src/admin/index.ts'
import { TandemError } from '../../../src/core/errors.ts'
import type { BrokerTrace } from '../../../src/spi/broker.ts'
import {
  dead,
  emptyWorld,
  handled,
  held,
  id,
  messageOf,
  NOW,
  prepared,
  unsent,
  type Sent,
  type World,
} from './world.ts'

let world: World
beforeEach(async () => {
  world = await emptyWorld()
})
afterEach(() => world.close())

/** The shape of a tree: types, and where each was found. */
function shape({ type, places, caused }: TraceNode): unknown {
  const where = places.map((place) =>
    place.kind === 'broker' ? place.broker : `${place.service} ${place.kind} ${place.state}`,
  )
  return [type, where, ...caused.map(shape)]
}

const PLACED: Sent = { id: id(1), type: 'orders.placed', source: 'order', ago: 5000 }
const RESERVED: Sent = { id: id(2), type: 'stock.reserved', source: 'stock', causationId: id(1), ago: 4000 }
const PAID: Sent = { id: id(3), type: 'payments.charged', source: 'order', causationId: id(2), ago: 3000 }
const SHIPPED: Sent = { id: id(4), type: 'orders.shipped', source: 'order', causationId: id(2), ago: 2000 }

test('a tree over services that each know a part', async () => {
  await handled(world.stock, 'stock', PLACED)
  // Only order knows that the second message came from the first, and only stock what came of the second.
  await handled(world.order, 'order', RESERVED)
  await dead(world.stock, 'billing', PAID, { error: 'Error: declined' })
  await unsent(world.order, SHIPPED)
  const { root, messages, truncated, unavailable } = await world.admin.trace(id(1))
  expect(shape(root)).toEqual([
    'orders.placed',
    ['stock inbox handled'],
    [
      'stock.reserved',
      ['order inbox handled'],
      ['payments.charged', ['stock inbox dead']],
      ['orders.shipped', ['order outbox unsent']],
    ],
  ])
  expect({ messages, truncated, unavailable }).toEqual({ messages: 4, truncated: false, unavailable: [] })
  expect(root.caused[0]!.caused[0]!.places).toEqual([
    {
      kind: 'inbox',
      service: 'stock',
      group: 'billing',
      state: 'dead',
      at: new Date(NOW).toISOString(),
      attempts: [
        {
          attempt: 1,
          at: new Date(NOW).toISOString(),
          error: 'Error: declined',
          stack: 'Error: declined\n    at handle (handler.ts:1:1)',
          process: 'host:1',
        },
      ],
    },
  ])
})

test('from the middle on, with what caused it named', async () => {
  await handled(world.stock, 'stock', PLACED)
  await handled(world.order, 'order', RESERVED)
  await handled(world.stock, 'billing', PAID)
  const { root } = await world.admin.trace(id(2))
  expect(root).toMatchObject({ causationId: id(1), correlationId: id(1) })
  expect(shape(root)).toEqual([
    'stock.reserved',
    ['order inbox handled'],
    ['payments.charged', ['stock inbox handled']],
  ])
})

test('several groups, a half message and a held one', async () => {
  await prepared(world.order, PLACED)
  expect(shape((await world.admin.trace(id(1))).root)).toEqual(['orders.placed', ['order half prepared']])
  await world.admin.half.decide(id(1), 'commit', { by: 'kim' })
  expect(shape((await world.admin.trace(id(1))).root)).toEqual([
    'orders.placed',
    ['order half committed', 'order outbox unsent'],
  ])
  await held(world.order, RESERVED, 'unsendable', 'too large')
  await handled(world.stock, 'a', PLACED)
  await handled(world.stock, 'b', PLACED)
  const { root } = await world.admin.trace(id(1))
  expect(root.places.flatMap((place) => (place.kind === 'inbox' ? [place.group] : []))).toEqual(['a', 'b'])
  expect(root.caused.map(shape)).toEqual([['stock.reserved', ['order outbox unsendable']]])
})

test('what a message caused is shown when its own records are gone', async () => {
  await handled(world.order, 'order', RESERVED)
  const { root } = await world.admin.trace(id(1))
  expect(root).toMatchObject({ id: id(1), type: null, sentAt: null, places: [] })
  expect(root.caused).toHaveLength(1)
})

test('messages that name each other as their cause do not make it endless', async () => {
  await handled(world.stock, 'stock', { ...PLACED, causationId: id(2) })
  await handled(world.order, 'order', RESERVED)
  const { root, messages } = await world.admin.trace(id(1))
  expect(messages).toBe(2)
  expect(shape(root)).toEqual(['orders.placed', ['stock inbox handled'], ['stock.reserved', ['order inbox handled']]])
})

test('the search ends at its limit and says so', async () => {
  for (let n = 1; n <= 5; n++) {
    const store = n % 2 === 0 ? world.order : world.stock
    await handled(store, 'g', { id: id(n), ...(n === 1 ? {} : { causationId: id(n - 1) }) })
  }
  expect(await world.admin.trace(id(1))).toMatchObject({ messages: 5, truncated: false })
  const { messages, truncated } = await world.admin.trace(id(1), { limit: 3 })
  expect({ messages, truncated }).toEqual({ messages: 3, truncated: true })
})

test('a message that nobody knows', async () => {
  await expect(world.admin.trace(id(9))).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

function brokerOf(find: (id: string) => BrokerTrace | undefined): AdminBroker {
  return {
    name: 'queue',
    open: () => Promise.resolve(),
    close: () => Promise.resolve(),
    health: () => Promise.resolve({ ok: true, detail: '' }),
    find: (wanted) => Promise.resolve(find(wanted)),
  }
}

test('brokers are looked into, and one that several services share is shown once', async () => {
  const message = messageOf(PLACED)
  const groups = [{ group: 'stock', passed: false }]
  const find = (wanted: string): BrokerTrace | undefined =>
    wanted === id(1) ? { message, publishedAt: NOW, groups } : undefined
  const admin = createAdmin({
    stores: [
      { service: 'order', store: world.order, broker: brokerOf(find) },
      { service: 'stock', store: world.stock, broker: brokerOf(find) },
    ],
  })
  const { root } = await admin.trace(id(1))
  expect(root).toMatchObject({ type: 'orders.placed', source: 'order', sentAt: new Date(NOW - 5000).toISOString() })
  expect(root.places).toEqual([{ kind: 'broker', broker: 'queue', at: new Date(NOW).toISOString(), groups }])
})

test('what cannot be asked is named, and the rest is told', async () => {
  await handled(world.stock, 'stock', PLACED)
  const broker = brokerOf(() => {
    throw new TandemError('BROKER_UNAVAILABLE', 'the queue does not answer')
  })
  const admin = createAdmin({ service: 'stock', store: world.stock, broker })
  const { root, unavailable } = await admin.trace(id(1))
  expect(root.places).toHaveLength(1)
  expect(unavailable).toEqual([
    {
      service: 'stock',
      part: 'broker',
      problem: { code: 'BROKER_UNAVAILABLE', message: 'the queue does not answer' },
    },
  ])
  await expect(admin.trace(id(9))).rejects.toThrow(/was not found, and could not ask the broker of stock/)
})
