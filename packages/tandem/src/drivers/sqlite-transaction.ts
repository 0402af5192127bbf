import { TandemError } from '../core/errors.ts'
import type { SqlValue } from '../spi/driver.ts'
import type { SqliteStatement } from './sqlite-binding.ts'
import type { SqliteConnection } from './sqlite-connection.ts'

/**
 * What a transaction's work is given: the connection, for as long as the transaction is open. Afterwards every call throws, so that
 * work which outlives its transaction can write neither outside of it nor into the next one.
 */
export class GuardedTransaction {
  readonly #connection: SqliteConnection
  readonly #iterators = new Set<Iterator<unknown>>()
  #end: string | undefined

  constructor(connection: SqliteConnection) {
    this.#connection = connection
  }

  /** The transaction behind `candidate`, if it is one of these. */
  static from(candidate: unknown): GuardedTransaction | undefined {
    return typeof candidate === 'object' && candidate !== null && #connection in candidate ? candidate : undefined
  }

  /** The connection, whether or not the transaction is still open. */
  get bare(): SqliteConnection {
    return this.#connection
  }

  get isTransaction(): boolean {
    return this.#end === undefined && this.#connection.inTransaction
  }

  get inTransaction(): boolean {
    return this.isTransaction
  }

  prepare(sql: string): SqliteStatement {
    this.connection()
    // Prepared here and not at the first run, so that a mistake in the SQL is reported where it was made.
    this.#connection.prepare(sql)
    return new GuardedStatement(this, sql)
  }

  exec(sql: string): void {
    this.connection().script(sql)
  }

  /**
   * The connection, if the transaction is still open.
   *
   * @throws TandemError `TRANSACTION_ENDED`
   */
  connection(): SqliteConnection {
    if (this.#end !== undefined) {
      throw new TandemError('TRANSACTION_ENDED', `this transaction ${this.#end}; nothing can be run in it any more`)
    }
    if (!this.#connection.inTransaction) {
      throw new TandemError(
        'TRANSACTION_ENDED',
        'SQLite has rolled this transaction back because a statement in it failed; let the error of that statement through',
      )
    }
    return this.#connection
  }

  /** Iterates with a statement of its own, which is let go when the transaction ends, at the latest. */
  iterate(sql: string, params: readonly SqlValue[]): Generator<unknown> {
    this.connection()
    return this.#rows(sql, params)
  }

  /** From here on every call throws. `how`: `was committed`, for example. */
  end(how: string): void {
    this.#end ??= how
    // An unfinished read would keep the connection on an old snapshot, on which the next transaction could not begin.
    for (const rows of this.#iterators) rows.return?.()
    this.#iterators.clear()
  }

  *#rows(sql: string, params: readonly SqlValue[]): Generator<unknown> {
    const rows = this.connection()
      .prepareAlone(sql)
      .iterate(...params)
    this.#iterators.add(rows)
    try {
      for (;;) {
        this.connection()
        const row = rows.next()
        if (row.done === true) return
        yield row.value
      }
    } finally {
      this.#iterators.delete(rows)
      rows.return?.()
    }
  }
}

class GuardedStatement implements SqliteStatement {
  readonly #tx: GuardedTransaction
  readonly #sql: string

  constructor(tx: GuardedTransaction, sql: string) {
    this.#tx = tx
    this.#sql = sql
  }

  run(...params: SqlValue[]): { readonly changes: number | bigint } {
    return this.#tx
      .connection()
      .prepare(this.#sql)
      .run(...params)
  }

  all(...params: SqlValue[]): unknown[] {
    return this.#tx
      .connection()
      .prepare(this.#sql)
      .all(...params)
  }

  get(...params: SqlValue[]): unknown {
    return this.#tx
      .connection()
      .prepare(this.#sql)
      .get(...params)
  }

  iterate(...params: SqlValue[]): Generator<unknown> {
    return this.#tx.iterate(this.#sql, params)
  }
}
