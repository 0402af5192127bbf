// A service that is started, with a consumer, and has nothing to do.
import { setTimeout as delay } from 'node:timers/promises'
import { parameters, parentGone, report } from '../../harness/parent.ts'
import { cpuPercent, residentMiB } from '../../harness/usage.ts'
import { openService, OrderPlaced, takeFromStock } from '../orders.ts'

export interface IdleParameters {
  readonly folder: string
  readonly settleMs: number
  readonly idleMs: number
}

const { folder, settleMs, idleMs } = parameters<IdleParameters>()
const tandem = await openService('stock', folder)
tandem.consume(OrderPlaced, (order, { tx }) => takeFromStock(tx, order))
await tandem.start()
await delay(settleMs)
const cpu = await cpuPercent(() => delay(idleMs))
await report('idle', { cpu, memory: residentMiB() })
await parentGone
await tandem.stop()
