/**
 * A broker in one SQLite file that the processes of all services share. For one machine; no server to run.
 *
 * @module
 */
export { sqlite, type SqliteBrokerOptions } from './broker.ts'
