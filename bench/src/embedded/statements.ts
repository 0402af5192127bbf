import { join } from 'node:path'
import { createTandem } from 'tandem'
import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { sqlite as sqliteBroker } from 'tandem/brokers/sqlite'
import { sqlite } from 'tandem/stores/sqlite'
import type { Figure } from '../harness/figures.ts'
import type { Bench } from '../harness/suite.ts'
import { counting, type Counts } from '../harness/counting-driver.ts'
import { OrderPlaced, orderOf, type OrderTandem } from './orders.ts'

export const statements: Bench = {
  name: 'statements',
  title: 'what a message costs in statements and transactions, business statements not counted',
  run: async ({ folder, slice }) => {
    const messages = slice ? 1000 : 10_000
    const figures: Figure[] = []
    const add = (step: string, where: string, counts: Counts): void => {
      figures.push({ name: `${step}: statements, ${where}`, value: counts.statements / messages, unit: '/message' })
      figures.push({ name: `${step}: transactions, ${where}`, value: counts.transactions / messages, unit: '/message' })
    }

    const order = service('order', folder)
    await order.tandem.open()
    await order.counted(async () => {
      for (let i = 0; i < messages; i++) {
        await order.tandem.transaction((tx) => order.tandem.send(tx, OrderPlaced(orderOf(i))))
      }
    })
    add('send', 'own database', order.store)

    const published = count(order.tandem, 'message.published', messages)
    await order.counted(async () => {
      await order.tandem.start()
      await published
    })
    await order.tandem.stop()
    add('publish', 'own database', order.store)
    add('publish', 'broker', order.broker)

    for (const transactionSize of [1, 64]) {
      const name = `stock-${transactionSize}`
      const stock = service(name, folder)
      stock.tandem.consume(OrderPlaced, () => undefined, { transactionSize })
      await stock.tandem.open()
      const handled = count(stock.tandem, 'message.handled', messages)
      await stock.counted(async () => {
        await stock.tandem.start()
        await handled
      })
      await stock.tandem.stop()
      add(`handle, ${transactionSize} together`, 'own database', stock.store)
      add(`handle, ${transactionSize} together`, 'broker', stock.broker)
    }
    return figures
  },
}

interface Counted {
  readonly tandem: OrderTandem
  readonly store: Counts
  readonly broker: Counts
  /** Sets the counts to what `work` asks of both databases. */
  counted(work: () => Promise<void>): Promise<void>
}

function service(name: string, folder: string): Counted {
  const own = counting(nodeSqlite(join(folder, `${name}.db`)))
  const shared = counting(nodeSqlite(join(folder, 'broker.db')))
  const tandem = createTandem({
    service: name,
    store: sqlite(own.driver, { migrate: true }),
    broker: sqliteBroker(shared.driver),
  })
  const store: Counts = { transactions: 0, statements: 0 }
  const broker: Counts = { transactions: 0, statements: 0 }
  return {
    tandem,
    store,
    broker,
    counted: async (work) => {
      const before = [{ ...own.counts }, { ...shared.counts }] as const
      await work()
      Object.assign(store, since(before[0], own.counts))
      Object.assign(broker, since(before[1], shared.counts))
    },
  }
}

function since(before: Counts, now: Counts): Counts {
  return {
    transactions: now.transactions - before.transactions,
    statements: now.statements - before.statements,
  }
}

function count(tandem: OrderTandem, event: 'message.published' | 'message.handled', messages: number): Promise<void> {
  return new Promise((resolve) => {
    let left = messages
    tandem.on(event, () => {
      left -= 1
      if (left === 0) resolve()
    })
  })
}
