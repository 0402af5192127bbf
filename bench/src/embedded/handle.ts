import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { median } from '../harness/statistics.ts'
import type { Bench } from '../harness/suite.ts'
import { openService, orderOf, takeFromStock } from './orders.ts'
import { runTwoServices } from './two-services.ts'

/** Orders in one transaction of the producer, so that it is not what is measured. */
const PER_TRANSACTION = 50

export const handle: Bench = {
  name: 'handle',
  title: 'effects in the consumer’s database, from another process, one UPDATE a message',
  run: async ({ folder, slice }) => {
    const [updates, single, together] = slice ? [500, 1000, 5000] : [5000, 20_000, 80_000]
    const rates = { bare: [] as number[], single: [] as number[], together: [] as number[] }
    for (let run = 0; run < (slice ? 1 : 3); run++) {
      const own = async (name: string): Promise<string> => {
        const path = join(folder, `${run}-${name}`)
        await mkdir(path)
        return path
      }
      // In turn, so that all three meet the same disk.
      rates.bare.push(await bareRate(await own('bare'), updates))
      rates.single.push(await handledRate(await own('single'), 1, single))
      rates.together.push(await handledRate(await own('together'), 64, together))
    }
    return [
      { name: 'bare transactions of the same UPDATE, one process', value: median(rates.bare), unit: '1/s' },
      {
        name: 'handled, one in a transaction',
        value: median(rates.single),
        unit: 'messages/s',
        reach: { atLeast: 3000 },
      },
      {
        name: 'handled, transactionSize 64',
        value: median(rates.together),
        unit: 'messages/s',
        reach: { atLeast: 10_000 },
      },
    ]
  },
}

/** What the disk allows: each transaction waits for it once. */
async function bareRate(folder: string, updates: number): Promise<number> {
  const tandem = await openService('stock', folder)
  const from = performance.now()
  for (let i = 0; i < updates; i++) await tandem.transaction((tx) => takeFromStock(tx, orderOf(i)))
  const rate = (updates / (performance.now() - from)) * 1000
  await tandem.stop()
  return rate
}

async function handledRate(folder: string, transactionSize: number, orders: number): Promise<number> {
  const { seconds } = await runTwoServices({
    folder,
    warmUp: Math.ceil(orders / 10),
    orders,
    transactionSize,
    perTransaction: PER_TRANSACTION,
    pause: 0,
  })
  return orders / seconds
}
