import { followedOf, followTransactions, withinConnection, type DrizzleSession } from './drizzle-transactions.ts'
import type { Layer } from './shared-layer.ts'

/** What the library below drizzle says of its connections. */
interface Below<Raw extends object> {
  isTransaction(candidate: object): candidate is Raw
  isOpen(raw: Raw, candidate: object): boolean
  isHere(raw: Raw): boolean
}

/** Follows the transactions of a database of drizzle. `source`: what drizzle takes its connections from. */
export function drizzleLayer<Raw extends object>(
  db: DrizzleSession,
  source: object,
  below: Below<Raw>,
): Layer<Raw, DrizzleSession> {
  followTransactions(db, source)
  const connectionOf = (tx: object): Raw => followedOf(tx)?.connection as Raw
  return {
    name: 'drizzle',
    within: async (connection, given, work) => withinConnection(db, { source, given, connection }, work),
    rootOf: (candidate) => {
      const { root, connection } = followedOf(candidate) ?? {}
      return connection !== undefined && below.isTransaction(connection) ? root : undefined
    },
    connectionOf,
    isOpen: (candidate) => {
      const connection = connectionOf(candidate)
      return followedOf(candidate)?.isOpen() === true && below.isOpen(connection, connection)
    },
    isHere: (root) => below.isHere(connectionOf(root)),
  }
}
