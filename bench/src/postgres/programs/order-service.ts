// The order service of a bench: places an order from time to time and publishes what it sends.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite as sqliteBroker } from 'tandem/brokers/sqlite'
import { hostMilliseconds } from '../../harness/clock.ts'
import { parameters, parentGone, report, told } from '../../harness/parent.ts'
import type { FlowParameters } from '../flow.ts'
import { orderOf, placeOrder, tandemOn } from '../orders.ts'
import { poolOf } from '../server.ts'

const { url, folder, orders, pause } = parameters<FlowParameters>()
const pool = poolOf(url)
const tandem = tandemOn('order', pool, sqliteBroker(nodeSqlite(join(folder, 'broker.db'))))
await tandem.start()
await report('ready')
await told('go')
const committedAt: number[] = []
for (let number = 0; number < orders; number++) {
  await placeOrder(tandem, orderOf(number))
  committedAt.push(hostMilliseconds())
  // Not always the same, so that it keeps no step with anybody who polls.
  await delay(pause * (0.75 + Math.random() / 2))
}
await report('sent', committedAt)
await parentGone
await tandem.stop()
await pool.end()
