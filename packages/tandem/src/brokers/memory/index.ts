/**
 * A broker inside one process, for tests, simulations and first steps. Nothing survives the process.
 *
 * @module
 */
export { memory, type MemoryBroker, type MemoryBrokerOptions } from './broker.ts'
