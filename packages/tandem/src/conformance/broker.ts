import { deliveryCases } from './broker-delivery.ts'
import { groupCases } from './broker-groups.ts'
import type { BrokerConformanceOptions } from './broker-kit.ts'
import { lifecycleCases } from './broker-lifecycle.ts'
import { publishingCases } from './broker-publishing.ts'
import type { ConformanceCase } from './case.ts'

export type { BrokerConformanceOptions, BrokerFixture } from './broker-kit.ts'

/**
 * What every broker must do. Each case makes its own broker, and names its topics and groups itself; cases may run in any order and at
 * the same time. What a broker says in its capabilities is asserted both ways.
 *
 * @example register(brokerConformance({ name: 'my broker', capabilities, kills: true, finds: false, make }), { describe, it })
 */
export function brokerConformance(options: BrokerConformanceOptions): ConformanceCase[] {
  return [...publishingCases(options), ...deliveryCases(options), ...groupCases(options), ...lifecycleCases(options)]
}
