/** A client of node-postgres with what an older one has inside. */
interface Client {
  getTransactionStatus?(): string | null
  readonly connection?: { on?(event: 'readyForQuery', listener: (message: { status?: string }) => void): unknown }
}

/** What the last answer of the server said, for clients that do not tell themselves. */
const statuses = new WeakMap<object, string | undefined>()

/**
 * Whether a transaction is open on a client: `I` none, `T` one, `E` one in which a statement has failed. Undefined when it is not known
 * yet: node-postgres tells since 8.21; of an older client it is known from the first answer on that comes after `followStatus`.
 */
export function statusOf(client: object): string | undefined {
  const { getTransactionStatus } = client as Client
  if (typeof getTransactionStatus === 'function') return getTransactionStatus.call(client) ?? 'I'
  return statuses.get(client)
}

/**
 * @param now the status at this moment, where the caller knows it
 * @returns false if the client neither tells its status nor can be followed, as those of `pg-native`
 */
export function followStatus(client: object, now?: 'I'): boolean {
  const { getTransactionStatus, connection } = client as Client
  if (typeof getTransactionStatus === 'function' || statuses.has(client)) return true
  if (typeof connection?.on !== 'function') return false
  statuses.set(client, now)
  connection.on('readyForQuery', ({ status }) => statuses.set(client, status))
  return true
}
