// A process that publishes to and consumes from a SQLite broker as it is told, and tells of every delivery.
import { sqlite } from '../../../src/brokers/sqlite/index.ts'
import { publishTo, series, textOf } from '../../../src/conformance/broker-kit.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import type { Delivery } from '../../../src/spi/broker.ts'

export type Order =
  | { readonly do: 'consume'; readonly topic: string; readonly group: string; readonly ack: boolean }
  | {
      readonly do: 'publish'
      readonly topic: string
      readonly key: string
      readonly count: number
      readonly from: number
    }
  | { readonly do: 'ack'; readonly texts: readonly string[] }

export type News =
  | { readonly is: 'ready' | 'done' }
  | { readonly is: 'delivery'; readonly key: string; readonly text: string; readonly attempt: number }

const [file = '', lease = ''] = process.argv.slice(2)
const broker = sqlite(nodeSqlite(file), { lease: Number(lease), pollInterval: 60_000 })
const held: Delivery[] = []

const tell = (news: News): boolean | undefined => process.send?.(news)

async function obey(order: Order): Promise<void> {
  switch (order.do) {
    case 'publish':
      await publishTo(broker, series(order.topic, order.key, order.count, order.from))
      break
    case 'ack':
      for (const delivery of held) if (order.texts.includes(textOf(delivery.message))) delivery.ack()
      break
    case 'consume': {
      const { topic, group, ack } = order
      await broker.consume({ group, topics: [topic], maxInFlight: 10_000 }, (delivery) => {
        held.push(delivery)
        const { key = '' } = delivery.message
        tell({ is: 'delivery', key, text: textOf(delivery.message), attempt: delivery.attempt })
        if (ack) delivery.ack()
      })
    }
  }
  tell({ is: 'done' })
}

process.on('message', (order: Order) => void obey(order))
process.on('disconnect', () => process.exit())
await broker.open({ service: 'child' })
tell({ is: 'ready' })
