import { Child } from '../harness/child.ts'
import { INITIAL_STOCK, readNumber, SKUS } from './orders.ts'

export interface FlowParameters {
  readonly folder: string
  /** Orders before those that count, while both processes still compile. */
  readonly warmUp: number
  readonly orders: number
  /** Orders that the producer places in one transaction. */
  readonly perTransaction: number
  /** Milliseconds between two of these; 0: at full speed. */
  readonly pause: number
  /** Messages that the consumer handles in one transaction. */
  readonly transactionSize: number
}

export interface Flow {
  /** From the begin of the first order's transaction to the last effect. */
  readonly seconds: number
  /** One for each order, on one clock, in milliseconds. */
  readonly committedAt: readonly number[]
  readonly handledAt: readonly number[]
}

/** Lets the order service place orders and the stock service handle them, each in a process of its own, and checks the books. */
export async function runTwoServices(parameters: FlowParameters): Promise<Flow> {
  const stock = new Child(new URL('programs/stock-service.ts', import.meta.url), parameters)
  const order = new Child(new URL('programs/order-service.ts', import.meta.url), parameters)
  let flow: Flow
  try {
    await Promise.all([stock.told('ready'), order.told('ready')])
    order.tell('go')
    await Promise.all([order.told('sent'), stock.told('handled')])
    order.tell('go')
    const [{ startedAt, committedAt }, { endedAt, handledAt }] = await Promise.all([
      order.told<{ startedAt: number; committedAt: number[] }>('sent'),
      stock.told<{ endedAt: number; handledAt: number[] }>('handled'),
    ])
    flow = { seconds: (endedAt - startedAt) / 1000, committedAt, handledAt }
  } finally {
    await Promise.all([order[Symbol.asyncDispose](), stock[Symbol.asyncDispose]()])
  }
  checkBooks(parameters)
  return flow
}

/** @throws when an order had no effect, or two */
function checkBooks({ folder, warmUp, orders }: FlowParameters): void {
  const ordered = readNumber(folder, 'order', 'SELECT sum(quantity) FROM orders')
  const taken = SKUS * INITIAL_STOCK - readNumber(folder, 'stock', 'SELECT sum(on_hand) FROM stock')
  const handled = readNumber(folder, 'stock', "SELECT count(*) FROM tandem_inbox WHERE state = 'handled'")
  if (ordered === taken && handled === warmUp + orders) return
  throw new Error(
    `the books do not balance: ${ordered} pieces were ordered and ${taken} taken; ${handled} of ${warmUp + orders} messages were handled`,
  )
}
