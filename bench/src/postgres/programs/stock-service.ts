// The stock service of a bench: takes what was ordered from its stock.
import { join } from 'node:path'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite as sqliteBroker } from 'tandem/brokers/sqlite'
import { hostMilliseconds } from '../../harness/clock.ts'
import { parameters, parentGone, report } from '../../harness/parent.ts'
import type { FlowParameters } from '../flow.ts'
import { OrderPlaced, takeFromStock, tandemOn } from '../orders.ts'
import { poolOf } from '../server.ts'

const { url, folder, orders } = parameters<FlowParameters>()
const pool = poolOf(url)
const tandem = tandemOn('stock', pool, sqliteBroker(nodeSqlite(join(folder, 'broker.db'))))
const numbers = new Map<string, number>()
/** By the number of the order. */
const handledAt: number[] = []
const done = Promise.withResolvers<void>()
let handled = 0
tandem.on('message.handled', ({ id }) => {
  handledAt[numbers.get(id) ?? -1] = hostMilliseconds()
  handled += 1
  if (handled === orders) done.resolve()
})
tandem.consume(OrderPlaced, async (order, { tx, message }) => {
  numbers.set(message.id, Number(order.orderId.slice('order-'.length)))
  await takeFromStock(tx, order)
})
await tandem.start()
await report('ready')
await done.promise
await report('handled', handledAt)
await parentGone
await tandem.stop()
await pool.end()
