import { TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, Row, SqlValue } from '../spi/driver.ts'
import { inTime, rolledBackInstead } from './postgres-connection.ts'
import { MAX_TIMEOUT, type PostgresBinding } from './postgres-driver.ts'
import { refuseTransactionControl, type Guard } from './postgres-transaction.ts'
import { textParser } from './postgres-types.ts'

/** What an instance of PGlite and its transactions have in common, as far as the driver uses it. */
export interface PgliteSession {
  query(
    sql: string,
    params?: never[],
    options?: never,
  ): Promise<{ readonly rows: unknown[]; readonly affectedRows?: number }>
  exec(sql: string): Promise<unknown>
  readonly closed: boolean
}

/** An instance of PGlite, as far as the driver uses it. */
export interface PgliteDatabase extends PgliteSession {
  transaction(work: never): Promise<unknown>
  readonly waitReady: Promise<void>
}

export interface PgliteOptions {
  /**
   * Milliseconds to wait for the connection, where a transaction does not ask for less; afterwards the call fails with `STORE_BUSY`.
   * Default 30,000.
   */
  readonly connectionTimeout?: number
}

type Begin = <T>(work: (tx: PgliteSession) => Promise<T>) => Promise<T>

/** The types that Tandem's statements may have to do with, from bool and bytea to jsonb and xid8. */
const TYPES = [
  16, 17, 18, 19, 20, 21, 23, 25, 26, 28, 114, 700, 701, 1042, 1043, 1082, 1114, 1184, 1700, 2950, 3802, 5069,
]
const forAll = <T>(of: (type: number) => T): Record<number, T> =>
  Object.fromEntries(TYPES.map((type) => [type, of(type)]))
/** How they are written and read, whatever the user has set for his own. */
const PLAIN = { serializers: forAll(() => textOf), parsers: forAll(textParser) } as never
const NO_ROWS: readonly Row[] = []
const FAILED_TRANSACTION = '25P02'

/** PGlite. */
export class PgliteBinding implements PostgresBinding<PgliteSession, PgliteSession> {
  readonly name = 'pglite'
  readonly isSingle = true
  readonly #db: PgliteDatabase
  readonly #begin: Begin
  readonly #timeout: number

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(db: PgliteDatabase, options: PgliteOptions) {
    checkOptions('pglite', options, ['connectionTimeout'])
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#timeout = checkNumber('pglite: connectionTimeout', options.connectionTimeout, limits)
    this.#db = db
    this.#begin = followed(db)
  }

  static isDatabase(candidate: unknown): candidate is PgliteDatabase {
    const { transaction, query, exec, waitReady } = (candidate ?? {}) as Partial<PgliteDatabase>
    return [transaction, query, exec].every((method) => typeof method === 'function') && waitReady !== undefined
  }

  connections(): number {
    return 1
  }

  async open(): Promise<void> {
    this.#checkOpen()
    await this.#db.waitReady
  }

  close(): void {
    // The instance is the user's.
  }

  async transaction<T>(work: (tx: PgliteSession) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    this.#checkOpen()
    const timeout = Math.min(lockTimeout ?? this.#timeout, this.#timeout)
    return inTime(
      (begun) =>
        this.#begin(async (tx) => {
          begun()
          const result = await work(tx)
          // PGlite does not say when PostgreSQL answers COMMIT with a rollback.
          await tx.query('SELECT 1').catch((error: unknown) => {
            throw (error as { code?: unknown }).code === FAILED_TRANSACTION ? rolledBackInstead(error) : error
          })
          return result
        }),
      timeout,
      1,
    )
  }

  handOut(tx: PgliteSession, guard: Guard): PgliteSession {
    return guardSession(tx, guard)
  }

  async query(sql: string, params: readonly SqlValue[], tx: PgliteSession | undefined): Promise<QueryResult> {
    if (tx === undefined) this.#checkOpen()
    const { rows, affectedRows } = await (tx === undefined
      ? // It cannot be taken back when nobody waits any more; it is a read.
        inTime(() => this.#db.query(sql, params as never[], PLAIN), this.#timeout, 1)
      : tx.query(sql, params as never[], PLAIN))
    return { rows: rows.length === 0 ? NO_ROWS : (rows as Row[]), changed: affectedRows ?? 0 }
  }

  async script(sql: string, tx: PgliteSession): Promise<void> {
    await tx.exec(sql)
  }

  connectionOf(candidate: object): object {
    return candidate
  }

  isTransaction(candidate: object): candidate is PgliteSession {
    return begunBy.has(candidate)
  }

  isOpen(tx: PgliteSession): boolean {
    return !tx.closed
  }

  isHere(tx: PgliteSession): boolean {
    return begunBy.get(tx) === this.#db
  }

  #checkOpen(): void {
    if (!this.#db.closed) return
    throw new TandemError('STORE_UNAVAILABLE', 'this instance of PGlite is closed', { retryable: false })
  }
}

/** The instance that has begun a transaction. */
const begunBy = new WeakMap<object, PgliteDatabase>()
const beginners = new WeakMap<PgliteDatabase, Begin>()

/** Replaces `transaction` of an instance, once, so that its transactions are known. */
function followed(db: PgliteDatabase): Begin {
  let begin = beginners.get(db)
  if (begin === undefined) {
    const original = (db.transaction as Begin).bind(db)
    begin = (work) =>
      original((tx) => {
        begunBy.set(tx, db)
        return work(tx)
      })
    beginners.set(db, begin)
    Object.assign(db, { transaction: begin })
  }
  return begin
}

function guardSession(tx: PgliteSession, guard: Guard): PgliteSession {
  type Call = (...args: unknown[]) => unknown
  const checked =
    (name: 'query' | 'exec'): Call =>
    async (...args) => {
      guard.checkStatement(args[0] as string)
      return (tx[name] as Call)(...args)
    }
  const { sql, listen } = tx as unknown as Record<'sql' | 'listen', Call>
  const own: Readonly<Record<string | symbol, Call>> = {
    query: checked('query'),
    exec: checked('exec'),
    sql: async (...args) => {
      guard.checkStatement((args[0] as readonly string[]).join(' ? '))
      return sql(...args)
    },
    listen: async (...args) => {
      guard.check()
      return listen(...args)
    },
    rollback: async () => {
      guard.check()
      refuseTransactionControl('ROLLBACK')
    },
  }
  return new Proxy(tx, {
    get: (target, name) => (Object.hasOwn(own, name) ? own[name] : (Reflect.get(target, name) as unknown)),
  })
}

function textOf(value: SqlValue): string {
  return value instanceof Uint8Array ? String.raw`\x${Buffer.from(value).toString('hex')}` : String(value)
}
