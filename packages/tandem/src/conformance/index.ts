/**
 * What every driver, store and broker adapter must do, as cases for any test runner.
 *
 * @module
 */
export * from './broker.ts'
export * from './case.ts'
export * from './driver.ts'
export * from './store.ts'
