// What a user writes (design, section 3) type-checks, and what would fail at run time is an error here where types can tell.
import type Database from 'better-sqlite3'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { memory as memoryBroker } from '../../src/brokers/memory/index.ts'
import { betterSqlite3, type BetterSqlite3Transaction } from '../../src/drivers/better-sqlite3.ts'
import { nodeSqlite, type NodeSqliteTransaction } from '../../src/drivers/node-sqlite.ts'
import { embedded } from '../../src/embedded.ts'
import {
  createTandem,
  message,
  type AnyMessageType,
  type Draft,
  type Half,
  type HalfToCheck,
  type HandlerContext,
  type Message,
  type MessageType,
  type PayloadOf,
  type Tandem,
} from '../../src/index.ts'
import { sqlite } from '../../src/stores/sqlite/index.ts'

const OrderPlaced = message('orders.placed', {
  schema: z.object({ orderId: z.string(), sku: z.string(), quantity: z.number().int().positive() }),
  key: (order) => order.orderId,
})
/** A schema whose input is not its output. */
const Counted = message('counted', {
  schema: z.object({ n: z.string().transform(Number), note: z.string().default('') }),
  key: (given) => given.n,
})
const StockReserved = message<{ orderId: string }>('stock.reserved')
const Anything = message('anything')

interface Order {
  orderId: string
  sku: string
  quantity: number
}
declare const order: Order
declare const better: Database.Database
const tandem = createTandem({ service: 'order', ...embedded('./data') })

test('a message type knows what goes in and what comes out', () => {
  expectTypeOf(OrderPlaced).toEqualTypeOf<MessageType<Order, Order>>()
  expectTypeOf(Counted).toEqualTypeOf<
    MessageType<{ n: string; note?: string | undefined }, { n: number; note: string }>
  >()
  expectTypeOf(StockReserved).toEqualTypeOf<MessageType<{ orderId: string }>>()
  expectTypeOf(Anything).toEqualTypeOf<MessageType<unknown>>()
  expectTypeOf<PayloadOf<typeof Counted>>().toEqualTypeOf<{ n: number; note: string }>()
  expectTypeOf(OrderPlaced).toExtend<AnyMessageType>()
  expectTypeOf(Counted).toExtend<AnyMessageType>()
  expectTypeOf(StockReserved).toExtend<AnyMessageType>()

  message<{ n: number }>('plain', { key: (payload) => String(payload.n), sensitive: ['n'], topic: 'numbers' })
  // @ts-expect-error -- the key is a string
  message<{ n: number }>('plain', { key: (payload) => payload.n })
  // @ts-expect-error -- of the input, in which n is not a string yet
  message('counted', { schema: z.object({ n: z.number().transform(String) }), key: (given) => given.n })
  // @ts-expect-error -- an option that there is not
  message('plain', { sensitve: ['n'] })
  // @ts-expect-error -- not a Standard Schema
  message('plain', { schema: { parse: (payload: unknown) => payload } })
})

test('a message is made from what goes in', () => {
  expectTypeOf(OrderPlaced(order)).toEqualTypeOf<Draft<Order>>()
  OrderPlaced(order, { key: 'o-1', deliverAt: new Date(), headers: { tenant: 't1' } })
  Counted({ n: '5' })
  Anything(5)

  // @ts-expect-error -- a property is missing
  OrderPlaced({ orderId: 'o-1', sku: 's' })
  // @ts-expect-error -- a property is of another type
  OrderPlaced({ ...order, quantity: '1' })
  // @ts-expect-error -- a property that there is not
  OrderPlaced({ orderId: 'o-1', sku: 's', quantity: 1, colour: 'red' })
  // @ts-expect-error -- the output of its schema
  Counted({ n: 5, note: '' })
  // @ts-expect-error -- a payload is needed
  OrderPlaced()
  // @ts-expect-error -- an option that there is not
  OrderPlaced(order, { deliverat: new Date() })
  // @ts-expect-error -- milliseconds are no instant
  OrderPlaced(order, { deliverAt: 1000 })
  // @ts-expect-error -- a header is a string
  OrderPlaced(order, { headers: { retries: 3 } })
})

test('Tx comes from the driver', () => {
  expectTypeOf(tandem).toEqualTypeOf<Tandem<NodeSqliteTransaction>>()
  const onBetter = createTandem({ service: 'order', store: sqlite(betterSqlite3(better)), broker: memoryBroker() })
  expectTypeOf(onBetter).toEqualTypeOf<Tandem<BetterSqlite3Transaction>>()
  expectTypeOf(onBetter.send).parameter(0).toEqualTypeOf<BetterSqlite3Transaction>()
  onBetter.consume(OrderPlaced, (_order, { tx }) => {
    expectTypeOf(tx).toEqualTypeOf<BetterSqlite3Transaction>()
  })
  void onBetter.send(better, OrderPlaced(order))
})

test('send takes a transaction of that driver, and messages', () => {
  void tandem.transaction(async (tx) => {
    expectTypeOf(tx).toEqualTypeOf<NodeSqliteTransaction>()
    tx.prepare('INSERT INTO orders VALUES (?, ?)').run(order.orderId, order.quantity)
    await tandem.send(tx, OrderPlaced(order))
    await tandem.send(tx, [OrderPlaced(order), Counted({ n: '1' }), StockReserved({ orderId: 'o-1' })])
    // @ts-expect-error -- a payload without its message type
    await tandem.send(tx, order)
    // @ts-expect-error -- the message type itself
    await tandem.send(tx, OrderPlaced)
    // @ts-expect-error -- nothing to send
    await tandem.send(tx)
  })
  // @ts-expect-error -- without a transaction
  void tandem.send(OrderPlaced(order))
  // @ts-expect-error -- what is not one
  void tandem.send({ query: () => undefined }, OrderPlaced(order))
  // @ts-expect-error -- a transaction of another library
  void tandem.send(better, OrderPlaced(order))
  expectTypeOf(tandem.transaction(() => 5)).resolves.toEqualTypeOf<number>()
})

test('a handler gets what comes out, and the same Tx', () => {
  tandem.consume(OrderPlaced, async (placed, context) => {
    expectTypeOf(placed).toEqualTypeOf<Order>()
    expectTypeOf(context).toEqualTypeOf<HandlerContext<NodeSqliteTransaction, Order>>()
    expectTypeOf(context.message).toEqualTypeOf<Message<Order>>()
    expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>()
    context.tx.prepare('UPDATE stock SET on_hand = on_hand - 1').run()
    await context.send(StockReserved({ orderId: placed.orderId }))
    await context.send([StockReserved({ orderId: placed.orderId })])
  })
  tandem.consume(Counted, (given, { message: { payload } }) => {
    expectTypeOf(given).toEqualTypeOf<{ n: number; note: string }>()
    expectTypeOf(payload).toEqualTypeOf<{ n: number; note: string }>()
  })
  tandem.consume(Anything, (given) => {
    expectTypeOf(given).toEqualTypeOf<unknown>()
  })
  // @ts-expect-error -- a handler of another payload
  tandem.consume(StockReserved, (given: { orderId: number }) => given)
  // @ts-expect-error -- a handler of another library's transactions
  tandem.consume(OrderPlaced, (_placed, { tx }: HandlerContext<BetterSqlite3Transaction, Order>) => void tx)
})

test('a list of types gives a union', () => {
  tandem.consume([OrderPlaced, StockReserved], (given, context) => {
    expectTypeOf(given).toEqualTypeOf<Order | { orderId: string }>()
    expectTypeOf(context.message.payload).toEqualTypeOf<Order | { orderId: string }>()
  })
  tandem.consume([Counted], (given) => {
    expectTypeOf(given).toEqualTypeOf<{ n: number; note: string }>()
  })
})

test('a handler outside of a transaction has none', () => {
  tandem.consume(
    OrderPlaced,
    (placed, { tx, send }) => {
      expectTypeOf(placed).toEqualTypeOf<Order>()
      expectTypeOf(tx).toEqualTypeOf<never>()
      return send(StockReserved({ orderId: placed.orderId }))
    },
    { transaction: false },
  )
  tandem.consume(
    [OrderPlaced, StockReserved],
    (given, { tx }) => {
      expectTypeOf(given).toEqualTypeOf<Order | { orderId: string }>()
      expectTypeOf(tx).toEqualTypeOf<never>()
    },
    { transaction: false },
  )
})

test('options are checked by name', () => {
  const handler = (): void => undefined
  tandem.consume(OrderPlaced, handler, {
    group: 'audit',
    ordered: true,
    concurrency: 4,
    transactionSize: 16,
    timeout: 5000,
    unknownTypes: 'ignore',
    retry: { maxAttempts: 5, delays: [1000], jitter: 0, retryIf: (error, attempt) => error !== attempt },
  })
  // @ts-expect-error -- an option that there is not
  tandem.consume(OrderPlaced, handler, { grup: 'audit' })
  // @ts-expect-error -- one below retry
  tandem.consume(OrderPlaced, handler, { retry: { attempts: 5 } })
  // @ts-expect-error -- a value that there is not
  tandem.consume(OrderPlaced, handler, { unknownTypes: 'drop' })
  // @ts-expect-error -- no handler
  tandem.consume(OrderPlaced)

  const parts = embedded('./data')
  createTandem({
    service: 'order',
    ...parts,
    limits: { payloadBytes: 1000 },
    check: { transactionCheckMax: 3 },
    log: console,
  })
  createTandem({ service: 'order', ...parts, log: false })
  // @ts-expect-error -- an option that there is not
  createTandem({ service: 'order', ...parts, servic: 'x' })
  // @ts-expect-error -- one below check
  createTandem({ service: 'order', ...parts, check: { transactionTimeout: 3 } })
  // @ts-expect-error -- a driver in place of a store
  createTandem({ service: 'order', store: nodeSqlite('x.db'), broker: memoryBroker() })
  // @ts-expect-error -- no broker
  createTandem({ service: 'order', store: parts.store })
  // @ts-expect-error -- an option of stop that there is not
  void tandem.stop({ timeout: 5 })
})

test('half messages', () => {
  expectTypeOf(tandem.prepare(OrderPlaced(order))).resolves.toEqualTypeOf<Half>()
  tandem.check(OrderPlaced, async (half) => (half.payload.orderId === 'o-1' ? 'commit' : 'unknown'))
  tandem.check(Counted, (half) => {
    // What was prepared: no schema has changed it yet.
    expectTypeOf(half).toEqualTypeOf<HalfToCheck<{ n: string; note?: string | undefined }>>()
    return 'rollback'
  })
  // @ts-expect-error -- an answer that there is not
  tandem.check(OrderPlaced, () => 'committed')
  // @ts-expect-error -- no answer at all
  tandem.check(OrderPlaced, () => undefined)
  // @ts-expect-error -- one at a time
  void tandem.prepare([OrderPlaced(order)])

  expectTypeOf(tandem.transact(OrderPlaced(order), (tx) => tx.isTransaction)).resolves.toEqualTypeOf<boolean>()
  // @ts-expect-error -- without a local transaction
  void tandem.transact(OrderPlaced(order))
})

test('events', () => {
  const stop = tandem.on('message.dead', ({ group, id, reason }) => {
    expectTypeOf(group).toEqualTypeOf<string>()
    expectTypeOf(id).toEqualTypeOf<string>()
    expectTypeOf(reason).toEqualTypeOf<
      'attempts-exhausted' | 'not-retryable' | 'payload-invalid' | 'undecodable' | 'type-unknown'
    >()
  })
  expectTypeOf(stop).toEqualTypeOf<() => void>()
  // @ts-expect-error -- an event that there is not
  tandem.on('message.lost', () => undefined)
  expectTypeOf(tandem).toExtend<AsyncDisposable>()
})
