import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, SqlValue } from '../spi/driver.ts'
import { compiled, contextOf, isEntityManager, type EntityManager } from './mikro-orm-manager.ts'
import { watch, type Watch } from './mikro-orm-guard.ts'
import { noConnection, placeOf } from './postgres-connection.ts'
import { MAX_TIMEOUT, type PostgresBinding } from './postgres-driver.ts'
import type { Guard } from './postgres-transaction.ts'

export interface MikroOrmOptions {
  /**
   * Milliseconds to wait for a connection, where a transaction does not ask for less; afterwards the call fails with `STORE_BUSY`.
   * Default 30,000.
   */
  readonly connectionTimeout?: number
}

/** Most connections, where the pool was not told. */
const DEFAULT_MAX = 10

/** MikroORM on PostgreSQL, through the Kysely inside it. */
export class MikroOrmPostgresBinding implements PostgresBinding<EntityManager, EntityManager> {
  readonly name = 'mikro-orm'
  readonly #em: EntityManager
  readonly #timeout: number
  readonly #watches = new WeakMap<EntityManager, Watch>()
  /** What still waits for a connection although its caller has given up. */
  readonly #late = new Set<Promise<unknown>>()

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(em: EntityManager, options: MikroOrmOptions) {
    checkOptions('mikroOrm', options, ['connectionTimeout'])
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#em = em
    this.#timeout = checkNumber('mikroOrm: connectionTimeout', options.connectionTimeout, limits)
  }

  connections(): number {
    return this.#em.config.get('pool')?.max ?? DEFAULT_MAX
  }

  async open(): Promise<void> {
    await this.query('SELECT 1 AS one', [], undefined)
  }

  /** The entity manager is the user's. Kysely 0.29.6 never gives a connection back that it gets while it is closed, and so `orm.close()` hangs. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#late)
  }

  async transaction<T>(work: (em: EntityManager) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    let state: Watch | undefined
    try {
      return await this.#inTime(
        (begun) =>
          this.#em.fork().transactional(async (em) => {
            begun()
            state = await watch(em)
            this.#watches.set(em, state)
            if (lockTimeout !== undefined) await this.query(`SET LOCAL lock_timeout = ${lockTimeout}`, [], em)
            try {
              return await work(em)
            } finally {
              state.isEnding = true
            }
          }),
        Math.min(lockTimeout ?? this.#timeout, this.#timeout),
      )
    } finally {
      state?.remove()
    }
  }

  handOut(em: EntityManager, guard: Guard): EntityManager {
    const state = this.#watches.get(em)
    if (state !== undefined) state.guard = guard
    return em
  }

  async query(sql: string, params: readonly SqlValue[], em: EntityManager | undefined): Promise<QueryResult> {
    const query = compiled(sql, params)
    const context = em === undefined ? undefined : contextOf(em)
    const { rows, numAffectedRows } = await (context?.executeQuery(query) ??
      this.#inTime(async (begun) => {
        const connection = this.#em.getConnection()
        await connection.ensureConnection()
        const result = await connection.getClient().executeQuery(query)
        begun()
        return result
      }, this.#timeout))
    return { rows, changed: Number(numAffectedRows ?? 0) }
  }

  async script(sql: string, em: EntityManager): Promise<void> {
    await contextOf(em)?.executeQuery(compiled(sql, []))
  }

  connectionOf(candidate: object): object {
    return candidate
  }

  isTransaction(candidate: object): candidate is EntityManager {
    return isEntityManager(candidate) && contextOf(candidate) !== undefined
  }

  isOpen(em: EntityManager): boolean {
    const context = contextOf(em)
    return context?.isCommitted === false && !context.isRolledBack
  }

  isHere(em: EntityManager): boolean {
    const [there, here] = [em, this.#em].map((one) => {
      const { host, port, database } = one.getConnection().getConnectionOptions()
      return placeOf(host, port, database)
    })
    return there === undefined || here === undefined || there === here
  }

  /** @param start calls `begun` when it has a connection, which throws when nobody waits any more */
  async #inTime<T>(start: (begun: () => void) => Promise<T>, timeout: number): Promise<T> {
    const expired = Promise.withResolvers<never>()
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#late.add(ended)
      expired.reject(noConnection(this.connections(), timeout))
    }, timeout)
    const ended = start(() => {
      if (isLate) throw new Error('begun too late')
      clearTimeout(timer)
    })
    // When it is late, nobody else listens.
    const forget = (): boolean => this.#late.delete(ended)
    ended.then(forget, forget)
    try {
      return await Promise.race([ended, expired.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}
