import { errorText, TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, Row, SqlValue } from '../spi/driver.ts'
import { changedBy, lostBeforeCommit, noConnection, placeOf } from './postgres-connection.ts'
import { MAX_TIMEOUT, type PostgresBinding } from './postgres-driver.ts'
import { begunOf, followTransactions } from './postgres-js-begin.ts'
import { guardSql, type PostgresJsQuery, type PostgresJsTransactionSql } from './postgres-js-sql.ts'
import type { Guard } from './postgres-transaction.ts'
import { textParser } from './postgres-types.ts'

/** An instance of postgres.js, as far as the driver uses it. */
export interface PostgresJsSql {
  begin(callback: (sql: PostgresJsTransactionSql) => unknown): Promise<unknown>
  unsafe: PostgresJsTransactionSql['unsafe']
  readonly options: {
    readonly max: number
    readonly prepare?: boolean
    readonly host: readonly string[]
    readonly port: readonly number[]
    readonly path?: string | false | undefined
    readonly database: string
    readonly transform: { readonly column: { readonly from: ((name: string) => string) | undefined } }
  }
}

export interface PostgresJsOptions {
  /**
   * Milliseconds to wait for a connection, where a transaction does not ask for less; afterwards the call fails with `STORE_BUSY`.
   * Default 30,000.
   */
  readonly connectionTimeout?: number
}

type Tx = PostgresJsTransactionSql

/** What `raw()` gives: rows of what the server sent. */
type RawResult = readonly (readonly (Uint8Array | null)[])[] & {
  readonly count: number | null
  readonly command: string
  readonly columns: readonly { readonly name: string; readonly type: number }[] | undefined
}

const PROBE = `SELECT 'a'::text AS of_text, 1::int AS of_int, 0.5::float8 AS of_float, true AS of_boolean`
const PROBED = { of_text: 'a', of_int: 1, of_float: 0.5, of_boolean: true }
const NO_ROWS: readonly Row[] = []

/** Asked for by its own name: the library keeps what the connection was told its number is, and a pooler makes one up. */
const WHICH = 'SELECT pg_backend_pid() AS pid'

/** To be seen as a statement behind which nothing may be sent before it is answered. */
const ALONE = { onexecute: () => false }

/** postgres.js. */
export class PostgresJsBinding implements PostgresBinding<Tx, Tx> {
  readonly name = 'postgres-js'
  readonly #sql: PostgresJsSql
  readonly #timeout: number
  readonly #place: string | undefined
  /** By statement: what the user's `transform` makes of the names in it. */
  readonly #names = new Map<string, ReadonlyMap<string, string>>()
  #isPooled = false

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(where: string, sql: PostgresJsSql, options: PostgresJsOptions) {
    checkOptions(where, options, ['connectionTimeout'])
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#sql = sql
    this.#timeout = checkNumber(`${where}: connectionTimeout`, options.connectionTimeout, limits)
    followTransactions(sql)
    const { host, port, path, database } = sql.options
    const first = typeof path === 'string' ? path : host[0]
    this.#place = placeOf(first, port[0], database)
  }

  static isInstance(candidate: unknown): candidate is PostgresJsSql {
    const { begin, unsafe, options } = (candidate ?? {}) as Partial<PostgresJsSql>
    return typeof begin === 'function' && typeof unsafe === 'function' && options !== undefined
  }

  connections(): number {
    return this.#sql.options.max
  }

  async open(): Promise<void> {
    const { rows } = await this.query(PROBE, [], undefined)
    if (JSON.stringify(rows) !== JSON.stringify([PROBED])) {
      const text = 'postgres-js: the row transform of this instance changes rows; give Tandem an instance without one'
      throw new TandemError('CONFIG_INVALID', text)
    }
    const which = this.#sql.unsafe(WHICH, [], { prepare: false, simple: false, ...ALONE })
    const { rows: found } = this.#resultOf(WHICH, (await this.#runAlone(which)) as RawResult)
    const { pid } = (which.state ?? {}) as { readonly pid?: number }
    this.#isPooled = pid !== undefined && found[0]?.['pid'] !== pid
  }

  /** Behind a pooler in session mode they do no harm, and nothing tells in which mode it is. */
  warnings(): readonly string[] {
    if (!this.#isPooled || this.#sql.options.prepare === false) return []
    return [
      'there is a pooler between postgres.js and PostgreSQL, and most poolers lose prepared statements: make the instance with ' +
        'prepare: false, unless yours keeps them',
    ]
  }

  close(): void {
    // The instance is the user's.
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    const timeout = Math.min(lockTimeout ?? this.#timeout, this.#timeout)
    const expired = Promise.withResolvers<never>()
    let begun: Tx | undefined
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      expired.reject(noConnection(this.connections(), timeout))
    }, timeout)
    const ended = this.#sql.begin((tx: Tx) => {
      // Rolls back what nobody waits for any more.
      if (isLate) throw new Error('begun too late')
      clearTimeout(timer)
      begun = tx
      // Goes out together with the first statement of the work.
      if (lockTimeout !== undefined) tx.unsafe(`SET LOCAL lock_timeout = ${lockTimeout}`).then(ignore, ignore)
      return work(tx)
    }) as Promise<T>
    try {
      return await Promise.race([ended, expired.promise])
    } catch (error) {
      throw begun !== undefined && begunOf(begun)?.isLost === true ? lostBeforeCommit(errorText(error), error) : error
    } finally {
      clearTimeout(timer)
      // When it is late, nobody else listens.
      ended.catch(ignore)
    }
  }

  handOut(tx: Tx, guard: Guard): Tx {
    return guardSql(tx, guard)
  }

  async query(sql: string, params: readonly SqlValue[], tx: Tx | undefined): Promise<QueryResult> {
    // It guesses the type of a BigInt, which PostgreSQL knows better.
    const values = params.map((value) => (typeof value === 'bigint' ? `${value}` : value)) as never[]
    const query = (tx ?? this.#sql).unsafe(sql, values, {
      prepare: true,
      simple: false,
      // PgBouncer (seen with 1.18) gives the connection away with the first answer, and that of a statement sent ahead is never seen.
      ...(tx === undefined ? ALONE : {}),
    })
    const result = await (tx === undefined ? this.#runAlone(query) : query.raw())
    return this.#resultOf(sql, result as RawResult)
  }

  async script(sql: string, tx: Tx): Promise<void> {
    await tx.unsafe(sql)
  }

  connectionOf(candidate: object): object {
    return candidate
  }

  isTransaction(candidate: object): candidate is Tx {
    return begunOf(candidate) !== undefined
  }

  isOpen(tx: Tx): boolean {
    return begunOf(tx)?.isOpen === true
  }

  isHere(tx: Tx): boolean {
    const by = begunOf(tx)?.by as PostgresJsSql | undefined
    if (by === undefined || by === this.#sql) return by !== undefined
    const { host, port, path, database } = by.options
    return placeOf(typeof path === 'string' ? path : host[0], port[0], database) === this.#place
  }

  /** Runs a query on any connection, and gives up when there was none in time. */
  async #runAlone(query: PostgresJsQuery): Promise<unknown> {
    const expired = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      // What a connection has taken ends by itself.
      if (query.state !== null) return
      expired.reject(noConnection(this.connections(), this.#timeout))
      query.cancel()
    }, this.#timeout)
    try {
      return await Promise.race([query.raw(), expired.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #resultOf(sql: string, result: RawResult): QueryResult {
    const changed = changedBy(result.command, result.count)
    if (result.length === 0) return { rows: NO_ROWS, changed }
    const columns = (result.columns ?? []).map(({ name, type }) => ({
      name: this.#nameOf(sql, name),
      parse: textParser(type),
    }))
    const rows = result.map((values) => {
      const row: Record<string, unknown> = {}
      for (const [index, { name, parse }] of columns.entries()) {
        const value = values[index]
        row[name] = value === null || value === undefined ? null : parse(Buffer.from(value).toString())
      }
      return row
    })
    return { rows, changed }
  }

  /** The name of a column as the statement has it, whatever the user's `transform` has made of it. */
  #nameOf(sql: string, transformed: string): string {
    const { from } = this.#sql.options.transform.column
    if (from === undefined) return transformed
    let names = this.#names.get(sql)
    if (names === undefined) {
      names = new Map([...new Set(sql.match(/\w+/g))].map((word) => [from(word), word]))
      this.#names.set(sql, names)
    }
    return names.get(transformed) ?? transformed
  }
}

function ignore(): void {
  // Said elsewhere, or of no interest to anybody.
}
