// The stock service of a bench: takes what was ordered from its stock.
import { hostMilliseconds } from '../../harness/clock.ts'
import { parameters, parentGone, report } from '../../harness/parent.ts'
import { openService, OrderPlaced, takeFromStock } from '../orders.ts'
import type { FlowParameters } from '../two-services.ts'

const { folder, warmUp, orders, transactionSize } = parameters<FlowParameters>()
const tandem = await openService('stock', folder)
const numbers = new Map<string, number>()
/** By the number of the order. */
const handledAt: number[] = []
let handled = 0
const warm = Promise.withResolvers<void>()
const done = Promise.withResolvers<void>()
tandem.on('message.handled', ({ id }) => {
  handledAt[numbers.get(id) ?? -1] = hostMilliseconds()
  numbers.delete(id)
  handled += 1
  if (handled === warmUp) warm.resolve()
  if (handled === warmUp + orders) done.resolve()
})
tandem.consume(
  OrderPlaced,
  (order, { tx, message }) => {
    takeFromStock(tx, order)
    numbers.set(message.id, Number(order.orderId.slice('order-'.length)))
  },
  { transactionSize },
)
await tandem.start()
await report('ready')
await warm.promise
await report('handled')
await done.promise
await report('handled', { endedAt: hostMilliseconds(), handledAt: handledAt.slice(warmUp) })
await parentGone
await tandem.stop()
