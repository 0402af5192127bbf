// The order service of a bench: places orders and publishes what they send.
import { setTimeout as delay } from 'node:timers/promises'
import { hostMilliseconds } from '../../harness/clock.ts'
import { parameters, parentGone, report, told } from '../../harness/parent.ts'
import { insertOrder, openService, OrderPlaced, orderOf } from '../orders.ts'
import type { FlowParameters } from '../two-services.ts'

const { folder, warmUp, orders, perTransaction, pause } = parameters<FlowParameters>()
const tandem = await openService('order', folder)
await tandem.start()
await report('ready')
for (const [first, count] of [
  [0, warmUp],
  [warmUp, orders],
] as const) {
  await told('go')
  const startedAt = hostMilliseconds()
  await report('sent', { startedAt, committedAt: await placeOrders(first, count) })
}
await parentGone
await tandem.stop()

/** Resolves to the instants at which each order was committed. */
async function placeOrders(first: number, count: number): Promise<number[]> {
  const committedAt: number[] = []
  while (committedAt.length < count) {
    const done = committedAt.length
    const batch = Array.from({ length: Math.min(perTransaction, count - done) }, (_, i) => orderOf(first + done + i))
    await tandem.transaction(async (tx) => {
      for (const order of batch) insertOrder(tx, order)
      await tandem.send(
        tx,
        batch.map((order) => OrderPlaced(order)),
      )
    })
    const now = hostMilliseconds()
    for (let i = 0; i < batch.length; i++) committedAt.push(now)
    // Not always the same, so that it keeps no step with anybody who polls.
    if (pause > 0) await delay(pause * (0.75 + Math.random() / 2))
  }
  return committedAt
}
