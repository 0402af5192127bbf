import { TandemError } from '../core/errors.ts'
import type { Layer } from './shared-layer.ts'

/** What knex says of where its connections lead. */
interface Settings {
  readonly host?: string
  readonly port?: number | string
  readonly database?: string
}

interface KnexClient {
  readonly dialect?: string
  readonly driverName?: string
  readonly config: object
  readonly connectionSettings?: Settings
  readonly pool?: { readonly max?: number }
  acquireConnection(): Promise<object>
  releaseConnection(connection: object): unknown
}

/** An instance of knex, or a transaction of one, for those who know what goes in. */
export interface Knex {
  readonly client: KnexClient
  readonly isTransaction?: boolean
  readonly parentTransaction?: Knex
  isCompleted?(): boolean
  transaction(work: (trx: Knex) => Promise<void>, options: { readonly connection: object }): Promise<unknown>
}

export function isKnex(candidate: unknown): candidate is Knex {
  const { client, transaction } = (candidate ?? {}) as Partial<Knex>
  return typeof client?.acquireConnection === 'function' && typeof transaction === 'function'
}

/** How many connections it may have. */
export function connectionsOf(db: Knex): { readonly max?: number } {
  const max = db.client.pool?.max
  return max === undefined ? {} : { max }
}

/** Takes a connection from the instance, which has to be given back. */
export async function acquire({ client }: Knex): Promise<object> {
  try {
    return await client.acquireConnection()
  } catch (error) {
    if ((error as Error).name !== 'KnexTimeoutError') throw error
    throw new TandemError('STORE_BUSY', `no connection of knex was free in time: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** @param failed why it cannot be used any more */
export function giveBack({ client }: Knex, connection: object, failed: unknown): void {
  // The mark by which knex knows what to throw away.
  if (failed !== undefined && failed !== false) Object.assign(connection, { __knex__disposed: failed })
  client.releaseConnection(connection)
}

/** What knex knows of its transactions. `connectionOf`: makes of a connection of knex what the driver of the library below takes. */
export function knexLayer<Raw extends object>(db: Knex, connectionOf: (connection: object) => Raw): Layer<Raw, Knex> {
  return {
    name: 'knex',
    within: (_, lent, work) => db.transaction(work, { connection: lent }),
    rootOf,
    connectionOf: async (root) => connectionOf(await root.client.acquireConnection()),
    isOpen: (candidate) => (candidate as Knex).isCompleted?.() === false,
    isHere: ({ client }) => client.config === db.client.config || isSamePlace(client, db.client),
  }
}

function rootOf(candidate: object): Knex | undefined {
  if (!isKnex(candidate) || candidate.isTransaction !== true || typeof candidate.isCompleted !== 'function')
    return undefined
  return candidate.parentTransaction === undefined ? candidate : rootOf(candidate.parentTransaction)
}

/** False also where it is not known. */
function isSamePlace(one: KnexClient, other: KnexClient): boolean {
  if (one.driverName !== other.driverName) return false
  const [a, b] = [one.connectionSettings ?? {}, other.connectionSettings ?? {}]
  if (a.host === undefined || a.database === undefined) return false
  return a.host === b.host && String(a.port) === String(b.port) && a.database === b.database
}
