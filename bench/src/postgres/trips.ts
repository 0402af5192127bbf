import { rateOf } from '../harness/clients.ts'
import { feedingBroker } from '../harness/feeding-broker.ts'
import type { Figure } from '../harness/figures.ts'
import { freeBroker } from '../harness/stopwatch-broker.ts'
import type { Bench } from '../harness/suite.ts'
import {
  createTables,
  insertOrder,
  inTransaction,
  OrderPlaced,
  orderOf,
  placeOrder,
  takeFromStock,
  tandemOn,
} from './orders.ts'
import { outgoing } from './outgoing.ts'
import { CLIENTS, poolOf, withDatabases, type Database } from './server.ts'
import { watchWire, type Wire } from './wire.ts'

export const trips: Bench = {
  name: 'trips',
  title: 'round trips and transactions of a message, counted where the driver writes to its connections',
  run: ({ slice, database }) =>
    withDatabases(database, ['order'], async (order) => {
      await createTables(order)
      const messages = slice ? 640 : 6400
      return [...(await ofSent(order, messages)), ...(await ofHandled(order, messages))]
    }),
}

async function ofSent(order: Database, messages: number): Promise<readonly Figure[]> {
  const pool = poolOf(order.url)
  const wire = watchWire(pool)
  const tandem = tandemOn('order', pool, freeBroker())
  await tandem.open()
  let number = 0
  const bare = await counted(wire, messages, () =>
    rateOf(CLIENTS, messages, () => inTransaction(pool, (client) => insertOrder(client, orderOf(number++)))),
  )
  const own = await counted(wire, messages, () =>
    rateOf(CLIENTS, messages, () =>
      inTransaction(pool, async (client) => {
        const placed = orderOf(number++)
        await insertOrder(client, placed)
        await tandem.send(client, OrderPlaced(placed))
      }),
    ),
  )
  const tandems = await counted(wire, messages, () =>
    rateOf(CLIENTS, messages, () => placeOrder(tandem, orderOf(number++))),
  )
  await tandem.stop()
  await pool.end()
  return [
    { name: 'order that sends nothing: round trips', value: bare.roundTrips, unit: '/order' },
    { name: 'order with a message, in a transaction of one’s own: round trips', value: own.roundTrips, unit: '/order' },
    { name: 'order with a message, by tandem.transaction: round trips', value: tandems.roundTrips, unit: '/order' },
    {
      name: 'sent: extra transactions',
      value: Math.max(own.commits, tandems.commits) - bare.commits,
      unit: '/message',
      reach: { atMost: 0 },
    },
  ]
}

async function ofHandled(order: Database, messages: number): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const transactionSize of [1, 64]) {
    const pool = poolOf(order.url)
    const wire = watchWire(pool)
    const { broker, feed } = feedingBroker()
    const tandem = tandemOn('stock', pool, broker)
    tandem.consume(OrderPlaced, (placed, { tx }) => takeFromStock(tx, placed), { transactionSize })
    await tandem.start()
    const all = Array.from({ length: messages }, (_, number) => outgoing(number))
    const { roundTrips, commits } = await counted(wire, messages, () => feed(all))
    await tandem.stop()
    await pool.end()
    const what = transactionSize === 1 ? 'handled, one in a transaction' : `handled, transactionSize ${transactionSize}`
    figures.push(
      { name: `${what}: round trips, with the handler’s own`, value: roundTrips, unit: '/message' },
      {
        name: `${what}: extra transactions`,
        // What the loops do meanwhile (leases, looks at the outbox) does not grow with the messages.
        value: Math.max(0, Math.round((commits - 1 / transactionSize) * 100) / 100),
        unit: '/message',
        reach: { atMost: 0 },
      },
    )
  }
  return figures
}

/** What `work` has put on the wire, for each message. */
async function counted(wire: Wire, messages: number, work: () => Promise<unknown>): Promise<Wire> {
  const before = { ...wire }
  await work()
  const each = (name: keyof Wire): number => (wire[name] - before[name]) / messages
  return { roundTrips: each('roundTrips'), statements: each('statements'), commits: each('commits') }
}
