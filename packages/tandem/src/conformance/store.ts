import type { ConformanceCase } from './case.ts'
import { adminCases } from './store-admin.ts'
import { halfCases } from './store-half.ts'
import { heldCases } from './store-held.ts'
import { inboxCases } from './store-inbox.ts'
import type { StoreConformanceOptions } from './store-kit.ts'
import { leaseCases } from './store-leases.ts'
import { outboxCases } from './store-outbox.ts'
import { retryCases } from './store-retries.ts'
import { schemaCases } from './store-schema.ts'

export type { StoreConformanceOptions, StoreFixture } from './store-kit.ts'

/**
 * What every store must do. Each case makes its own stores; cases may run in any order and at the same time.
 *
 * @example register(storeConformance({ name: 'my store', capabilities, siblings: true, make }), { describe, it })
 */
export function storeConformance<Tx>(options: StoreConformanceOptions<Tx>): ConformanceCase[] {
  return [
    ...schemaCases(options),
    ...leaseCases(options),
    ...outboxCases(options),
    ...heldCases(options),
    ...halfCases(options),
    ...inboxCases(options),
    ...retryCases(options),
    ...adminCases(options),
  ]
}
