/**
 * All that the author of a driver, store or broker adapter sees.
 *
 * @module
 */
export * from './admin-store.ts'
export * from './broker.ts'
export * from './driver.ts'
export * from './store.ts'
export { ERROR_CODES, isTandemError, TandemError, type ErrorCode } from '../core/errors.ts'
export { uuidv7 } from '../core/ids.ts'
export { planLeases, type LeasePlan, type LeaseRow, type LeaseWish } from '../core/leases.ts'
export { shardOf } from '../core/shards.ts'
export { readEnvelope, toHeaders, type Envelope, type WireMessage } from '../core/wire.ts'
