import { createHash } from 'node:crypto'
import { isTandemError, TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, Row, SqlValue } from '../spi/driver.ts'
import { changedBy, lostBeforeCommit, noConnection, placeOf, rolledBackInstead } from './postgres-connection.ts'
import { MAX_TIMEOUT, type PostgresBinding } from './postgres-driver.ts'
import { classify } from './postgres-failures.ts'
import { guardClient, type PgClient, type PgResult, type PgStatement } from './postgres-pg-client.ts'
import { followStatus, statusOf } from './postgres-pg-status.ts'
import type { Guard } from './postgres-transaction.ts'
import { plainTypes } from './postgres-types.ts'

/** A `Pool` of node-postgres, as far as the driver uses it. */
export interface PgPool {
  connect(): Promise<PgClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  readonly options?: { readonly max?: number | undefined; readonly pipeline?: boolean | undefined }
}

/** What the pool tells besides, in a form that is not worth a place in the type that the user's pool has to fit. */
interface AcquireEvents {
  on(event: 'acquire', listener: (client: PgClient) => void): unknown
}

export interface PgOptions {
  /**
   * Milliseconds to wait for a connection of the pool, where a transaction does not ask for less; afterwards the call fails with
   * `STORE_BUSY`. Default 30,000.
   */
  readonly connectionTimeout?: number
  /**
   * Whether Tandem's own statements are prepared once for each connection. Saves PostgreSQL the planning; needs connections that are not
   * shared, or a PgBouncer with `max_prepared_statements`. Default false.
   */
  readonly prepare?: boolean
}

/** Milliseconds that a rollback may take before the connection is given up, which rolls back as well. */
const ROLLBACK_TIMEOUT = 5000
const NO_ROWS: readonly Row[] = []

/** node-postgres. */
export class PgBinding implements PostgresBinding<PgClient, PgClient> {
  readonly name = 'pg'
  readonly pipelining: boolean
  readonly #pool: PgPool
  readonly #timeout: number
  readonly #prepare: boolean
  readonly #names = new Map<string, string>()
  /** Why a connection that is in use does not work any more. */
  readonly #lost = new WeakMap<PgClient, Error>()
  #here: string | undefined

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(where: string, pool: PgPool, options: PgOptions) {
    checkOptions(where, options, ['connectionTimeout', 'prepare'])
    const { connectionTimeout, prepare = false } = options
    if (typeof prepare !== 'boolean') throw new TandemError('CONFIG_INVALID', `${where}: prepare must be true or false`)
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#pool = pool
    this.#timeout = checkNumber(`${where}: connectionTimeout`, connectionTimeout, limits)
    this.#prepare = prepare
    this.pipelining = pool.options?.pipeline === true
    listenTo(pool)
  }

  static isPool(candidate: unknown): candidate is PgPool {
    const { connect, on } = (candidate ?? {}) as Partial<PgPool>
    // A client has the same methods.
    return typeof connect === 'function' && typeof on === 'function' && !('processID' in (candidate as object))
  }

  connections(): number | undefined {
    return this.#pool.options?.max
  }

  async open(): Promise<void> {
    const client = await this.#acquire(this.#timeout)
    this.#here = placeOfClient(client)
    client.release()
  }

  close(): void {
    // The pool is the user's.
  }

  async transaction<T>(work: (client: PgClient) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    const client = await this.#acquire(Math.min(lockTimeout ?? this.#timeout, this.#timeout))
    const onError = (error: Error): void => void (this.#lost.has(client) || this.#lost.set(client, error))
    client.on('error', onError)
    let unusable: Error | boolean = true
    try {
      // One simple query, and so one round trip.
      await client.query(lockTimeout === undefined ? 'BEGIN' : `BEGIN; SET LOCAL lock_timeout = ${lockTimeout}`)
      let result: T
      try {
        result = await work(client)
      } catch (error) {
        unusable = !(await this.#rollBack(client))
        throw error
      }
      try {
        await this.#commit(client)
        unusable = false
      } catch (error) {
        unusable = !isAnswer(error)
        throw error
      }
      return result
    } finally {
      client.removeListener('error', onError)
      client.release(this.#lost.get(client) ?? unusable)
    }
  }

  handOut(client: PgClient, guard: Guard): PgClient {
    return guardClient(client, guard)
  }

  async query(sql: string, params: readonly SqlValue[], client: PgClient | undefined): Promise<QueryResult> {
    const statement = {
      text: sql,
      values: params as SqlValue[],
      types: plainTypes,
      ...(this.#prepare ? { name: this.#nameOf(sql) } : {}),
    }
    if (client !== undefined) return resultOf(await this.#queryOn(client, statement))
    const own = await this.#acquire(this.#timeout)
    let failed: Error | boolean = true
    try {
      const result = await own.query(statement)
      failed = false
      return resultOf(result)
    } catch (error) {
      failed = !isAnswer(error)
      throw error
    } finally {
      own.release(failed)
    }
  }

  async script(sql: string, client: PgClient): Promise<void> {
    await this.#queryOn(client, { text: sql })
  }

  connectionOf(candidate: object): object {
    return candidate
  }

  isTransaction(candidate: object): candidate is PgClient {
    const { query, on } = candidate as Partial<PgClient>
    return typeof query === 'function' && typeof on === 'function' && followStatus(candidate)
  }

  isOpen(client: PgClient): boolean {
    // One that has not been met before is asked when the first statement is run on it.
    return statusOf(client) !== 'I'
  }

  isHere(client: PgClient): boolean {
    const place = placeOfClient(client)
    return place === undefined || this.#here === undefined || place === this.#here
  }

  async #queryOn(client: PgClient, statement: PgStatement): Promise<PgResult> {
    try {
      if (statusOf(client) === undefined) await learnStatus(client)
      return await client.query(statement)
    } catch (error) {
      // Says why; the error at hand says only that it is not queryable.
      throw this.#lost.get(client) ?? error
    }
  }

  async #commit(client: PgClient): Promise<void> {
    const lost = this.#lost.get(client)
    if (lost !== undefined) throw lostBeforeCommit(lost.message, lost)
    const { command } = await client.query('COMMIT')
    if (command === 'ROLLBACK') throw rolledBackInstead()
  }

  /** @returns whether the connection can be used again. Never throws: the error that led here is the one that matters. */
  async #rollBack(client: PgClient): Promise<boolean> {
    if (this.#lost.has(client)) return false
    const late = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => late.resolve(false), ROLLBACK_TIMEOUT)
    const rolledBack = client.query('ROLLBACK').then(
      () => true,
      () => false,
    )
    const usable = await Promise.race([rolledBack, late.promise])
    clearTimeout(timer)
    return usable
  }

  /** A client of the pool; gives it back at once if it comes too late. */
  #acquire(timeout: number): Promise<PgClient> {
    return new Promise((resolve, reject) => {
      let tooLate = false
      const timer = setTimeout(() => {
        tooLate = true
        reject(noConnection(this.connections(), timeout))
      }, timeout)
      const fail = (error: Error): void => {
        clearTimeout(timer)
        reject(error)
      }
      this.#pool.connect().then((client) => {
        clearTimeout(timer)
        if (tooLate) client.release()
        else resolve(client)
      }, fail)
    })
  }

  #nameOf(sql: string): string {
    let name = this.#names.get(sql)
    if (name === undefined) {
      name = `tandem_${createHash('sha256').update(sql).digest('base64url').slice(0, 24)}`
      this.#names.set(sql, name)
    }
    return name
  }
}

const heard = new WeakSet<PgPool>()

/** From the beginning, because a transaction may be under way when the driver is opened; for good, because a pool outlives it. */
function listenTo(pool: PgPool): void {
  if (heard.has(pool)) return
  heard.add(pool)
  pool.on('error', ignore)
  const events: AcquireEvents = pool as PgPool & AcquireEvents
  events.on('acquire', meet)
}

function ignore(): void {
  // The pool removes the connection by itself, and whoever used it gets the error of his statement.
}

const met = new WeakSet<object>()

/** A client leaves the pool. No transaction is open on it, and from here on a loss of its connection would end the process. */
function meet(client: PgClient): void {
  if (met.has(client)) return
  met.add(client)
  client.on('error', ignore)
  followStatus(client, 'I')
}

/** @throws TandemError `TRANSACTION_ENDED` */
async function learnStatus(client: PgClient): Promise<void> {
  await client.query({ text: 'SELECT 1' })
  if (statusOf(client) !== 'I') return
  throw new TandemError('TRANSACTION_ENDED', 'no transaction is open on the connection; BEGIN one first')
}

/** Whether the server has answered, and goes on to. */
function isAnswer(error: unknown): boolean {
  if (isTandemError(error)) return true
  // What it says depends on the server's language.
  const { severity } = error as { severity?: unknown }
  return typeof severity === 'string' && classify(error) !== 'unavailable'
}

function placeOfClient({ host, port, database }: PgClient): string | undefined {
  return placeOf(host, port, database)
}

function resultOf({ rows, rowCount, command }: PgResult): QueryResult {
  return {
    rows: rows.length === 0 ? NO_ROWS : (rows as Row[]),
    changed: changedBy(command, rowCount),
  }
}
