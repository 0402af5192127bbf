import type { ConformanceCase } from './case.ts'
import type { DriverConformanceOptions } from './driver-kit.ts'
import { lifecycleCases } from './driver-lifecycle.ts'
import { lockCases } from './driver-locks.ts'
import { statementCases } from './driver-statements.ts'
import { transactionCases } from './driver-transactions.ts'
import { transactionObjectCases } from './driver-tx-object.ts'

export type { DriverConformanceOptions, DriverFixture } from './driver-kit.ts'

/**
 * What every driver must do. Each case makes its own drivers; cases may run in any order and at the same time.
 *
 * @example register(driverConformance({ name: 'my driver', capabilities, siblings: true, make }), { describe, it })
 */
export function driverConformance<Tx>(options: DriverConformanceOptions<Tx>): ConformanceCase[] {
  return [
    ...transactionCases(options),
    ...transactionObjectCases(options),
    ...statementCases(options),
    ...lockCases(options),
    ...lifecycleCases(options),
  ]
}
