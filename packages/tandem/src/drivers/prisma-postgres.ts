import { errorText, TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, Row, SqlValue } from '../spi/driver.ts'
import { lostBeforeCommit, noConnection, placeOf } from './postgres-connection.ts'
import { MAX_TIMEOUT, type PostgresBinding } from './postgres-driver.ts'
import { classify } from './postgres-failures.ts'
import { answerOf, splitStatements } from './postgres-statements.ts'
import type { Guard } from './postgres-transaction.ts'
import {
  connectionOf,
  isOpen,
  isPrisma,
  isStartTimeout,
  isTransactionClient,
  originOf,
  translate,
  type Prisma,
} from './prisma-client.ts'
import { guardClient, Pending } from './prisma-guard.ts'

export interface PrismaOptions {
  /**
   * Milliseconds to wait for a connection, where a transaction does not ask for less; afterwards the call fails with `STORE_BUSY`.
   * Default 30,000.
   */
  readonly connectionTimeout?: number
}

const NO_ROWS: readonly Row[] = []

/** Prisma on PostgreSQL, by its methods for SQL. */
export class PrismaPostgresBinding implements PostgresBinding<Prisma, Prisma> {
  readonly name = 'prisma'
  readonly #client: Prisma
  readonly #timeout: number
  readonly #answers = new Map<string, ReturnType<typeof answerOf>>()
  readonly #pending = new WeakMap<Prisma, Pending>()

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(client: Prisma, options: PrismaOptions) {
    checkOptions('prisma', options, ['connectionTimeout'])
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#client = client
    this.#timeout = checkNumber('prisma: connectionTimeout', options.connectionTimeout, limits)
  }

  connections(): number | undefined {
    return connectionOf(this.#client).max
  }

  async open(): Promise<void> {
    await this.query('SELECT 1 AS one', [], undefined)
  }

  close(): void {
    // The client is the user's.
  }

  async transaction<T>(work: (tx: Prisma) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    const maxWait = Math.min(lockTimeout ?? this.#timeout, this.#timeout)
    try {
      return await this.#client.$transaction(
        async (tx) => {
          const pending = new Pending()
          this.#pending.set(tx, pending)
          if (lockTimeout !== undefined) await tx.$executeRawUnsafe(`SET LOCAL lock_timeout = ${lockTimeout}`)
          const result = await work(tx)
          // What nobody has waited for may fail as well.
          await pending.settled()
          await checkCommittable(tx)
          return result
        },
        // How long a handler may run is said elsewhere; Prisma's default is 5 seconds.
        { maxWait, timeout: MAX_TIMEOUT },
      )
    } catch (error) {
      throw isStartTimeout(error) ? noConnection(this.connections(), maxWait) : error
    }
  }

  handOut(tx: Prisma, guard: Guard): Prisma {
    return guardClient(tx, guard, this.#pending.get(tx) ?? new Pending())
  }

  async query(sql: string, params: readonly SqlValue[], tx: Prisma | undefined): Promise<QueryResult> {
    if (tx === undefined) return this.#inTime(this.#run(this.#client, sql, params))
    try {
      return await this.#run(tx, sql, params)
    } catch (error) {
      throw translate(error)
    }
  }

  async script(sql: string, tx: Prisma): Promise<void> {
    // Not every adapter takes several at once.
    for (const statement of splitStatements(sql)) await this.#run(tx, statement, [])
  }

  connectionOf(candidate: object): object {
    return candidate
  }

  isTransaction(candidate: object): candidate is Prisma {
    return isTransactionClient(candidate)
  }

  isOpen(_: Prisma, candidate: object): boolean {
    return isPrisma(candidate) && isOpen(candidate)
  }

  isHere(tx: Prisma): boolean {
    if (originOf(tx) === originOf(this.#client)) return true
    const [there, here] = [tx, this.#client].map((client) => {
      const { host, port, database } = connectionOf(client)
      return placeOf(host, port, database)
    })
    return there === undefined || here === undefined || there === here
  }

  async #run(client: Prisma, sql: string, params: readonly SqlValue[]): Promise<QueryResult> {
    let answer = this.#answers.get(sql)
    if (answer === undefined) {
      answer = answerOf(sql)
      this.#answers.set(sql, answer)
    }
    if (answer === 'count') return { rows: NO_ROWS, changed: await client.$executeRawUnsafe(sql, ...params) }
    const rows = await client.$queryRawUnsafe(sql, ...params)
    return { rows: rows.map(plain), changed: answer === 'rows' ? 0 : rows.length }
  }

  async #inTime<T>(running: Promise<T>): Promise<T> {
    const expired = Promise.withResolvers<never>()
    const timer = setTimeout(() => expired.reject(noConnection(this.connections(), this.#timeout)), this.#timeout)
    // When it is late, nobody else listens.
    running.catch(() => undefined)
    try {
      return await Promise.race([running, expired.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * Prisma does not see when PostgreSQL answers COMMIT by ROLLBACK, because a statement in the transaction has failed.
 *
 * @throws TandemError `TRANSACTION_ENDED`, `STORE_UNAVAILABLE`
 */
async function checkCommittable(tx: Prisma): Promise<void> {
  try {
    await tx.$executeRawUnsafe('SELECT 1')
  } catch (error) {
    if (classify(error) === 'unavailable') throw lostBeforeCommit(errorText(error), error)
    throw new TandemError(
      'TRANSACTION_ENDED',
      'PostgreSQL has rolled this transaction back because a statement in it failed; let the error of that statement ' +
        'through, or run the statement in a nested transaction',
      { cause: error },
    )
  }
}

/** A row whose large integers are text, as those of the other drivers are. */
function plain(row: Row): Row {
  const values = Object.entries(row)
  if (!values.some(([, value]) => typeof value === 'bigint')) return row
  return Object.fromEntries(values.map(([name, value]) => [name, typeof value === 'bigint' ? `${value}` : value]))
}
