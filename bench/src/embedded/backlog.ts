import { mkdir } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { Child } from '../harness/child.ts'
import { paired } from '../harness/paired.ts'
import type { Bench } from '../harness/suite.ts'
import { openService, OrderPlaced, orderOf, placeOrder, readNumber, type OrderTandem } from './orders.ts'
import type { DrainParameters } from './programs/draining-service.ts'
import { seedOutbox } from './seed.ts'

const SERVICE = 'order'

export const backlog: Bench = {
  name: 'backlog',
  title: 'sending and publishing with a million unsent messages in the outbox, against an empty one',
  run: async ({ folder, slice }) => {
    const size = slice ? 100_000 : 1_000_000
    const [pairs, sends, drains] = slice ? [1, 200, 5000] : [7, 1000, 20_000]
    const [empty, full] = [join(folder, 'empty'), join(folder, 'full')]
    await mkdir(empty)
    await mkdir(full)
    await seedOutbox(full, SERVICE, size)

    const inEmpty = await openService(SERVICE, empty)
    const inFull = await openService(SERVICE, full)
    let number = size
    const send = async (tandem: OrderTandem): Promise<number> => {
      const from = performance.now()
      for (let i = 0; i < sends; i++) await placeOrder(tandem, orderOf(number++), OrderPlaced)
      return (sends / (performance.now() - from)) * 1000
    }
    const sending = await paired(
      pairs,
      () => {
        clearOutbox(empty)
        return send(inEmpty)
      },
      () => send(inFull),
    )
    await inEmpty.stop()
    await inFull.stop()

    clearOutbox(empty)
    const draining = await paired(
      pairs,
      async () => {
        await seedOutbox(empty, SERVICE, drains)
        const { rate } = await drain({ folder: empty, service: SERVICE, messages: drains })
        return rate
      },
      async () => (await drain({ folder: full, service: SERVICE, messages: drains })).rate,
    )
    const left = readNumber(full, SERVICE, 'SELECT count(*) FROM tandem_outbox')
    const rest = await drain({ folder: full, service: SERVICE, messages: left })
    return [
      { name: 'sends, outbox empty', value: sending.base, unit: '1/s' },
      { name: 'sends with the backlog', value: sending.other, unit: '1/s' },
      { name: 'sends: ratio', value: sending.ratio, unit: '', reach: { atLeast: 0.85 } },
      { name: 'published, outbox else empty', value: draining.base, unit: 'messages/s' },
      { name: 'published from the backlog', value: draining.other, unit: 'messages/s' },
      { name: 'published: ratio', value: draining.ratio, unit: '', reach: { atLeast: 0.85 } },
      { name: 'the whole backlog published', value: rest.rate, unit: 'messages/s' },
      { name: 'resident memory meanwhile', value: rest.memory, unit: 'MiB', reach: { below: 200 } },
    ]
  },
}

function clearOutbox(folder: string): void {
  const db = new DatabaseSync(join(folder, `${SERVICE}.db`), { timeout: 5000 })
  db.exec('DELETE FROM tandem_outbox')
  db.close()
}

async function drain(parameters: DrainParameters): Promise<{ readonly rate: number; readonly memory: number }> {
  const child = new Child(new URL('programs/draining-service.ts', import.meta.url), parameters)
  try {
    return await child.told('drained')
  } finally {
    await child[Symbol.asyncDispose]()
  }
}
