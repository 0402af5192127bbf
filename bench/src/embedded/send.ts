import type { Draft } from 'tandem'
import type { Figure } from '../harness/figures.ts'
import { paired, type Run } from '../harness/paired.ts'
import type { Bench, BenchContext } from '../harness/suite.ts'
import { openService, OrderPlaced, orderOf, placeOrder, type Order, type OrderTandem } from './orders.ts'

export const send: Bench = {
  name: 'send',
  title: 'a local transaction of one INSERT that sends, against the same one that does not',
  run: measure,
}

async function measure({ folder, slice }: BenchContext): Promise<readonly Figure[]> {
  const [pairs, transactions] = slice ? [2, 100] : [15, 1000]
  // A database each, so that nobody pays for the pages of another.
  const bare = await openService('bare', folder)
  const one = await openService('one', folder)
  const five = await openService('five', folder)
  const relayed = await openService('relayed', folder)
  await relayed.start()
  const runBare = placing(bare, transactions)
  const withOne = await paired(pairs, runBare, placing(one, transactions, OrderPlaced))
  const withFive = await paired(pairs, runBare, placing(five, transactions, fiveOf))
  const withRelay = await paired(pairs, runBare, placing(relayed, transactions, OrderPlaced))
  for (const tandem of [bare, one, five, relayed]) await tandem.stop()
  return [
    { name: 'transactions without a message', value: withOne.base, unit: '1/s' },
    { name: 'transactions with one message', value: withOne.other, unit: '1/s' },
    { name: 'one message: ratio', value: withOne.ratio, unit: '', reach: { atLeast: 0.8 } },
    { name: 'transactions with five messages', value: withFive.other, unit: '1/s' },
    { name: 'five messages: ratio', value: withFive.ratio, unit: '' },
    { name: 'one message, published by the same process: ratio', value: withRelay.ratio, unit: '' },
  ]
}

function placing(tandem: OrderTandem, transactions: number, drafts?: (order: Order) => Draft | readonly Draft[]): Run {
  let number = 0
  return async () => {
    const from = performance.now()
    for (let i = 0; i < transactions; i++) await placeOrder(tandem, orderOf(number++), drafts)
    return (transactions / (performance.now() - from)) * 1000
  }
}

function fiveOf(order: Order): readonly Draft[] {
  return Array.from({ length: 5 }, () => OrderPlaced(order))
}
