import { percentile } from '../harness/statistics.ts'
import type { Bench } from '../harness/suite.ts'
import { runTwoServices } from './two-services.ts'

export const latency: Bench = {
  name: 'latency',
  title: 'from the end of the producer’s commit to the end of the consumer’s, two processes, a message every 20 ms',
  run: async ({ folder, slice }) => {
    const { committedAt, handledAt } = await runTwoServices({
      folder,
      warmUp: 20,
      orders: slice ? 50 : 500,
      transactionSize: 1,
      perTransaction: 1,
      pause: 20,
    })
    const delays = committedAt.map((at, i) => (handledAt[i] ?? Number.NaN) - at)
    return [
      { name: 'commit to handled, p50', value: percentile(delays, 50), unit: 'ms', reach: { atMost: 3 } },
      { name: 'commit to handled, p99', value: percentile(delays, 99), unit: 'ms', reach: { atMost: 15 } },
      { name: 'commit to handled, longest', value: percentile(delays, 100), unit: 'ms' },
    ]
  },
}
