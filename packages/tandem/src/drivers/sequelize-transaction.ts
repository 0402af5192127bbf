import { errorText, TandemError } from '../core/errors.ts'
import type { Layer } from './shared-layer.ts'

/** A `Sequelize`, for those who know what goes in. */
export interface Sequelize {
  readonly options: { readonly pool?: { readonly max?: number } }
  readonly connectionManager: {
    getConnection(options: { readonly type: 'write' }): Promise<object>
    releaseConnection(connection: object): void
    destroyConnection(connection: object): Promise<void>
  }
  getDialect(): string
}

/** Its class. */
interface SequelizeClass {
  readonly Transaction: new (sequelize: Sequelize, options: object) => Transaction
  /** Continuation-local storage, for those who have asked for it. */
  readonly _cls?: { set(name: 'transaction', transaction: Transaction): void }
  _clsRun<T>(run: () => Promise<T>): Promise<T>
}

/** A transaction of Sequelize, or a savepoint in one. */
export interface Transaction {
  readonly id: string
  readonly sequelize: Sequelize
  readonly savepoints: readonly object[]
  readonly parent?: Transaction | undefined
  /** `commit` or `rollback`, once it has been. */
  readonly finished?: string
  /** Where it is; the mark on it says that the pool has lent it. */
  connection?: object & { uuid?: string | undefined }
  begin(): Promise<void>
  commit(): Promise<void>
  rollback(): Promise<void>
}

/** Most connections, where the pool was not told. */
const DEFAULT_MAX = 5

/** Takes a connection from the pool, which has to be given back. */
export async function acquire({ connectionManager }: Sequelize): Promise<object> {
  try {
    return await connectionManager.getConnection({ type: 'write' })
  } catch (error) {
    if ((error as Error).name !== 'SequelizeConnectionAcquireTimeoutError') throw error
    const text = `no connection of Sequelize was free in time: ${errorText(error)}`
    throw new TandemError('STORE_BUSY', text, { cause: error })
  }
}

export function giveBack({ connectionManager }: Sequelize, connection: object, isBroken: boolean): void {
  if (!isBroken) return connectionManager.releaseConnection(connection)
  // Sequelize may have thrown it away already.
  connectionManager.destroyConnection(connection).catch(() => undefined)
}

/** How many connections there may be. */
export function connectionsOf({ options }: Sequelize): number {
  return options.pool?.max ?? DEFAULT_MAX
}

/** What Sequelize knows of its transactions. `below`: what is known of their connections. */
export function sequelizeLayer<Raw extends object>(
  sequelize: Sequelize,
  below: { isOpen(connection: Raw, candidate: Raw): boolean; isHere(connection: Raw): boolean },
): Layer<Raw, Transaction> {
  /** Those that were lent, by what stands for them. */
  const lentOf = new WeakMap<object, Raw>()
  const connectionOf = ({ connection }: Transaction): Raw =>
    lentOf.get(connection as object) ?? (connection as object as Raw)
  const { Transaction, _cls: cls, _clsRun } = sequelize.constructor as unknown as SequelizeClass
  return {
    name: 'sequelize',
    within: async (raw, lent, work) => {
      lentOf.set(lent, raw)
      const transaction = new Transaction(sequelize, {})
      transaction.connection = lent
      transaction.connection.uuid = transaction.id
      // Answered by the connection that it was lent.
      await transaction.begin()
      if (cls === undefined) return work(transaction)
      return _clsRun.call(sequelize.constructor, async () => {
        cls.set('transaction', transaction)
        await work(transaction)
      })
    },
    ended: async (root, how) => {
      // Without the mark Sequelize leaves the connection where it is.
      if (root.connection !== undefined) root.connection.uuid = undefined
      try {
        await (how === 'committed' ? root.commit() : root.rollback())
      } catch (error) {
        // MySQL's deadlocks are rolled back by Sequelize itself.
        if (root.finished === 'rollback' && how === 'rolled back') return
        const text = `sequelize: a transaction was ${how}, and then failed: ${errorText(error)}`
        process.emitWarning(text, 'TandemWarning')
      }
    },
    rootOf,
    connectionOf,
    isOpen: (candidate) => {
      const root = rootOf(candidate)
      if (root === undefined || !isOpen(candidate as Transaction)) return false
      const connection = connectionOf(root)
      return below.isOpen(connection, connection)
    },
    isHere: (root) =>
      root.sequelize === sequelize || (root.connection !== undefined && below.isHere(connectionOf(root))),
  }
}

function rootOf(candidate: object): Transaction | undefined {
  const { sequelize, savepoints, commit, parent } = candidate as Partial<Transaction>
  if (sequelize === undefined || !Array.isArray(savepoints) || typeof commit !== 'function') return undefined
  return parent === undefined ? (candidate as Transaction) : rootOf(parent)
}

function isOpen({ finished, connection, parent }: Transaction): boolean {
  return finished === undefined && connection !== undefined && (parent === undefined || isOpen(parent))
}
