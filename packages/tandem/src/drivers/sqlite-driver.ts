import { AsyncLocalStorage } from 'node:async_hooks'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { setImmediate as nextTick } from 'node:timers/promises'
import { TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type {
  Driver,
  DriverCapabilities,
  FailureKind,
  OpenContext,
  QueryResult,
  SqlValue,
  TransactionOptions,
} from '../spi/driver.ts'
import type { SqliteBinding, SqliteDatabase } from './sqlite-binding.ts'
import type { SqliteConnection } from './sqlite-connection.ts'
import { SqliteConnections } from './sqlite-connections.ts'
import { classify, toTandemError } from './sqlite-failures.ts'
import { retryWhileBusy } from './sqlite-retry.ts'
import { SlowWatch } from './sqlite-slow-watch.ts'
import { GuardedTransaction } from './sqlite-transaction.ts'
import { Turns } from './sqlite-turns.ts'

export interface SqliteDriverOptions {
  /**
   * Milliseconds to wait for the right to begin a transaction, first behind the other transactions of this process, then behind other
   * connections; afterwards the call fails with `STORE_BUSY`. Default 30,000.
   */
  readonly lockTimeout?: number
  /**
   * Milliseconds that a transaction may be open while others of this process wait for it; then `onWarning` is called, once for each
   * such transaction. Default 1,000.
   */
  readonly slowTransaction?: number
  /** Default: `process.emitWarning` with the type `TandemWarning`. */
  readonly onWarning?: (text: string) => void
}

/** A database, the name of its file, or a function that is called once, when the driver opens, and returns either. */
export type SqliteSource<Db> = Db | string | ((context: OpenContext) => Db | string)

/** Longest time-out that a timer can measure. */
const MAX_TIMEOUT = 2_147_483_647
/** Milliseconds of work after which everything else in the process gets a chance. */
const BREATH = 10

/** Everything about a SQLite driver that does not depend on the library. */
export class SqliteDriver<Db extends SqliteDatabase, Tx> implements Driver<Tx> {
  readonly name: string
  readonly dialect = 'sqlite'
  readonly capabilities: DriverCapabilities = { concurrentTransactions: false }

  readonly #binding: SqliteBinding<Db>
  readonly #source: SqliteSource<Db>
  readonly #lockTimeout: number
  readonly #turns = new Turns()
  readonly #slow: SlowWatch
  /** The transaction in whose work the present code runs. */
  readonly #within = new AsyncLocalStorage<GuardedTransaction>()

  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #connections: SqliteConnections<Db> | undefined
  #current: GuardedTransaction | undefined
  #breathedAt = 0

  constructor(binding: SqliteBinding<Db>, source: SqliteSource<Db>, options: SqliteDriverOptions = {}) {
    const { name } = binding
    if (!isSource(binding, source)) {
      const what = binding.connect === undefined ? 'a database' : 'a database, a file name,'
      throw new TandemError('CONFIG_INVALID', `${name}: pass ${what} or a function that returns one`)
    }
    checkOptions(name, options, ['lockTimeout', 'slowTransaction', 'onWarning'])
    this.name = name
    this.#binding = binding
    this.#source = source
    this.#lockTimeout = checkTimeout(`${name}: lockTimeout`, options.lockTimeout, 30_000)
    this.#slow = new SlowWatch(
      checkTimeout(`${name}: slowTransaction`, options.slowTransaction, 1000),
      options.onWarning ?? ((text) => process.emitWarning(text, 'TandemWarning')),
      () => this.#turns.waiting > 0,
    )
  }

  open(context: OpenContext): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#closedError())
    this.#opening ??= this.#open(context).catch((error: unknown) => {
      this.#opening = undefined
      throw toTandemError(error, `opening the database of ${context.service}`)
    })
    return this.#opening
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T> {
    const lockTimeout = checkTimeout('lockTimeout', options?.lockTimeout, this.#lockTimeout)
    const deadline = performance.now() + lockTimeout
    await this.#takeTurn(lockTimeout)
    try {
      const writer = await this.#patiently(() => this.#begin(), 'beginning a transaction', deadline)
      const tx = new GuardedTransaction(writer)
      this.#current = tx
      this.#slow.begun()
      let result: T
      try {
        result = await this.#within.run(tx, work, tx as Tx)
        // Refuses to commit when SQLite has rolled back by itself and the work has swallowed the error.
        tx.connection()
      } catch (error) {
        tx.end('was rolled back')
        this.#rollBack(writer, error)
        throw error
      }
      tx.end('was committed')
      try {
        await this.#patiently(() => writer.commit(), 'committing a transaction')
      } catch (error) {
        this.#rollBack(writer, error)
        throw error
      }
      return result
    } finally {
      this.#current = undefined
      this.#slow.ended()
      this.#turns.pass()
    }
  }

  async query(sql: string, params: readonly SqlValue[], tx?: Tx): Promise<QueryResult> {
    if (tx !== undefined) {
      return this.#patiently(() => this.#connectionOf(tx).execute(sql, params), 'a statement')
    }
    if (this.#opened().file !== undefined) {
      await this.#breathe()
      return this.#patiently(() => this.#reader().read(sql, params), 'a read')
    }
    // In memory there is one connection: a read waits until no transaction is open on it.
    await this.#takeTurn(this.#lockTimeout)
    try {
      return await this.#patiently(() => this.#reader().read(sql, params), 'a read')
    } finally {
      this.#turns.pass()
    }
  }

  async script(sql: string, tx: Tx): Promise<void> {
    await this.#patiently(() => this.#connectionOf(tx).script(sql), 'a script')
  }

  inspect(candidate: unknown): 'open' | 'ended' | 'foreign' {
    const connections = this.#connections
    if (connections === undefined) return 'foreign'
    const guarded = GuardedTransaction.from(candidate)
    if (guarded !== undefined) {
      if (!connections.isHere(guarded.bare)) return 'foreign'
      return guarded.isTransaction ? 'open' : 'ended'
    }
    if (!this.#binding.isDatabase(candidate)) return 'foreign'
    if (!this.#binding.isOpen(candidate)) return 'ended'
    const connection = connections.of(candidate)
    if (!connections.isHere(connection)) return 'foreign'
    // A transaction that Tandem has begun on the user's connection is for those only whom it was given to.
    if (this.#current !== undefined && connections.isWriter(connection)) return 'foreign'
    return connection.inTransaction ? 'open' : 'ended'
  }

  classify(error: unknown): FailureKind {
    return classify(error)
  }

  close(): Promise<void> {
    if (this.#isInside()) {
      const text = 'close() inside a transaction would wait for itself; call it when the transaction has ended'
      return Promise.reject(new TandemError('LIFECYCLE', text))
    }
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #open(context: OpenContext): Promise<void> {
    const source = typeof this.#source === 'function' ? this.#source(context) : this.#source
    if (typeof source === 'string' && context.create === false && !isThere(source)) {
      const text = `there is no database ${resolve(source)}; it is made when the service ${context.service} starts`
      throw new TandemError('STORE_UNAVAILABLE', text, { retryable: false })
    }
    const db = typeof source === 'string' ? await this.#binding.connect?.(source) : source
    if (!this.#binding.isDatabase(db)) {
      throw new TandemError('CONFIG_INVALID', `${this.name}: the function for ${context.service} returned no database`)
    }
    const connections = new SqliteConnections(this.#binding, db, db !== this.#source)
    try {
      await this.#patiently(() => connections.writer().setUp(), 'setting the database up')
    } catch (error) {
      connections.close()
      throw error
    }
    this.#connections = connections
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    this.#turns.refuse(this.#closedError())
    if (!this.#turns.tryTake()) await this.#turns.take(undefined)
    this.#connections?.close()
  }

  /** Waits until nobody else in this process uses the writer. */
  async #takeTurn(timeout: number): Promise<void> {
    this.#opened()
    if (this.#isInside()) {
      throw new TandemError(
        'TRANSACTION_INVALID',
        'this call waits for the transaction in whose work it is made, which waits for the call: use the transaction ' +
          'that the work was given, or make the call when the transaction has ended',
      )
    }
    if (!this.#turns.tryTake()) {
      this.#slow.waited()
      await this.#turns.take(timeout)
    }
    // With the turn taken, so that nobody overtakes.
    await this.#breathe()
  }

  /** SQLite is synchronous: a chain of calls would keep timers and sockets from their turn for as long as it lasts. */
  async #breathe(): Promise<void> {
    const now = performance.now()
    if (now - this.#breathedAt < BREATH) return
    await nextTick()
    this.#breathedAt = performance.now()
  }

  #begin(): SqliteConnection<Db> {
    const writer = this.#opened().writer()
    writer.begin()
    return writer
  }

  /** Rolls back because of `error`, and sees to it that the next transaction has a connection that works. */
  #rollBack(writer: SqliteConnection<Db>, error: unknown): void {
    writer.rollBack()
    if (writer.inTransaction || classify(error) === 'unavailable') this.#connections?.doubt()
  }

  #reader(): SqliteConnection<Db> {
    const connections = this.#opened()
    return connections.reader() ?? connections.writer()
  }

  /** Tries until it is not busy any more, by default for as long as `lockTimeout` says. */
  async #patiently<T>(act: () => T, doing: string, deadline?: number): Promise<T> {
    try {
      return act()
    } catch (first) {
      try {
        return await retryWhileBusy(first, act, { doing, deadline: deadline ?? performance.now() + this.#lockTimeout })
      } catch (last) {
        if (classify(last) === 'unavailable') this.#connections?.doubt()
        throw last
      }
    }
  }

  #isInside(): boolean {
    return this.#current !== undefined && this.#within.getStore() === this.#current
  }

  #opened(): SqliteConnections<Db> {
    if (this.#closing !== undefined) throw this.#closedError()
    if (this.#connections !== undefined) return this.#connections
    throw new TandemError('LIFECYCLE', `the ${this.name} driver is not open; call open() first`)
  }

  #connectionOf(tx: unknown): SqliteConnection {
    const guarded = GuardedTransaction.from(tx)
    if (guarded !== undefined && guarded === this.#current) return guarded.connection()
    const connections = this.#opened()
    switch (this.inspect(tx)) {
      case 'open':
        return guarded?.connection() ?? connections.of(tx as Db)
      case 'ended':
        if (guarded !== undefined) return guarded.connection()
        throw new TandemError('TRANSACTION_ENDED', 'the connection has no open transaction; BEGIN one first')
      case 'foreign':
        throw new TandemError(
          'TRANSACTION_INVALID',
          `not a transaction of ${connections.file ?? 'this database in memory'}, or not the one that its work was given`,
        )
    }
  }

  #closedError(): TandemError {
    return new TandemError('STORE_UNAVAILABLE', `the ${this.name} driver is closed`, { retryable: false })
  }
}

function isSource<Db extends SqliteDatabase>(binding: SqliteBinding<Db>, source: unknown): boolean {
  if (typeof source === 'string') return binding.connect !== undefined
  return typeof source === 'function' || binding.isDatabase(source)
}

/** Whether a database of this name can be opened without making it. */
function isThere(name: string): boolean {
  return name === ':memory:' || name === '' || name.startsWith('file:') || existsSync(name)
}

function checkTimeout(where: string, value: unknown, byDefault: number): number {
  return checkNumber(where, value, { min: 0, max: MAX_TIMEOUT, default: byDefault })
}
