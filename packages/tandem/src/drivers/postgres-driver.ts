import { AsyncLocalStorage } from 'node:async_hooks'
import { isTandemError, TandemError } from '../core/errors.ts'
import type {
  Driver,
  DriverCapabilities,
  FailureKind,
  QueryResult,
  SqlValue,
  TransactionOptions,
} from '../spi/driver.ts'
import { classify, toTandemError } from './postgres-failures.ts'
import { Turns } from './sqlite-turns.ts'
import { Guard, refuseTransactionControl } from './postgres-transaction.ts'

/** What differs between the libraries. Knows nothing of life cycles, nested transactions or Tandem's errors. */
export interface PostgresBinding<Raw extends object, Tx extends object> {
  /** The driver's name. */
  readonly name: string
  /** Whether there is one connection and no other one, so that transactions wait for each other. Default false. */
  readonly isSingle?: boolean
  /** Whether statements are sent without waiting for the answers to those before. Default false. */
  readonly pipelining?: boolean
  /** How many connections the pool may have; undefined where the library does not say. */
  connections(): number | undefined
  /** Reaches the database once. */
  open(): Promise<void>
  close(): void | Promise<void>
  /** What somebody should change. */
  warnings?(): readonly string[]
  /**
   * Begins a transaction, runs `work` in it and commits; rolls back when it rejects, and passes that on.
   *
   * @param lockTimeout milliseconds, at least 1; undefined leaves the database's own setting
   * @throws TandemError `TRANSACTION_ENDED` when PostgreSQL has rolled back instead of committing
   */
  transaction<T>(work: (raw: Raw) => Promise<T>, lockTimeout: number | undefined): Promise<T>
  /** What the work is given: `raw`, as long as `guard` allows it. */
  handOut(raw: Raw, guard: Guard): Tx
  /** Runs one statement: in a transaction, or on any connection of the pool. */
  query(sql: string, params: readonly SqlValue[], raw: Raw | undefined): Promise<QueryResult>
  /** Runs any number of statements without parameters. */
  script(sql: string, raw: Raw): Promise<void>
  /** What a transaction of the user runs on: itself, or something inside it. Never throws. */
  connectionOf(candidate: object): object | undefined
  /** Whether it has the shape of what this library's transactions run on. Never throws. */
  isTransaction(candidate: object): candidate is Raw
  /** Whether a transaction, that of `candidate`, is open on it, as far as can be told without asking the database. */
  isOpen(raw: Raw, candidate: object): boolean
  /** False if it is certainly connected to another database than the pool. */
  isHere(raw: Raw): boolean
}

/** Longest time-out that a timer, and PostgreSQL, can measure. */
export const MAX_TIMEOUT = 2_147_483_647

/** Milliseconds to wait for a turn, where there are turns and nobody asks for less. */
const LONGEST_TURN = 30_000

const ONE_CONNECTION =
  'the pool has one connection: handlers, sends, the relay and the leases take turns on it, and a transaction that is open for long holds ' +
  'all of them up. Let it have as many connections as handlers run at once, and three more'

/** Everything about a driver of PostgreSQL that does not depend on the library. */
export class PostgresDriver<Raw extends object, Tx extends object> implements Driver<Tx> {
  readonly name: string
  readonly dialect = 'postgres'
  readonly capabilities: DriverCapabilities

  readonly #binding: PostgresBinding<Raw, Tx>
  /** The transaction in whose work the present code runs. */
  readonly #within = new AsyncLocalStorage<Guard>()
  readonly #running = new Set<Promise<unknown>>()
  /** Of a library with one connection: whoever waits for it can be turned away. */
  readonly #turns: Turns | undefined
  #opening: Promise<void> | undefined
  #isOpen = false
  #closing: Promise<void> | undefined

  constructor(binding: PostgresBinding<Raw, Tx>) {
    this.name = binding.name
    this.capabilities = {
      concurrentTransactions: binding.isSingle !== true,
      ...(binding.pipelining === true ? { pipelining: true } : {}),
    }
    this.#binding = binding
    this.#turns = binding.isSingle === true ? new Turns() : undefined
  }

  open(context: { readonly service: string }): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#closedError())
    this.#opening ??= this.#binding.open().then(
      () => {
        this.#isOpen = true
      },
      (error: unknown) => {
        this.#opening = undefined
        throw toTandemError(error, `opening the database of ${context.service}`)
      },
    )
    return this.#opening
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T> {
    this.#checkUsable()
    this.#refuseWaitingForItself()
    const lockTimeout = options?.lockTimeout
    // For PostgreSQL 0 means for ever.
    const timeout = lockTimeout === undefined ? undefined : Math.min(MAX_TIMEOUT, Math.max(1, Math.ceil(lockTimeout)))
    if (this.#turns?.tryTake() === false) await this.#turns.take(timeout ?? LONGEST_TURN)
    const running = this.#run(work, timeout)
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
      this.#turns?.pass()
    }
  }

  async query(sql: string, params: readonly SqlValue[], tx?: Tx): Promise<QueryResult> {
    let raw: Raw | undefined
    if (tx === undefined) {
      this.#checkUsable()
      this.#refuseWaitingForItself()
    } else {
      raw = this.#rawOf(tx)
    }
    refuseTransactionControl(sql)
    try {
      return await this.#binding.query(sql, params, raw)
    } catch (error) {
      throw toTandemError(error, tx === undefined ? 'a read' : 'a statement')
    }
  }

  async script(sql: string, tx: Tx): Promise<void> {
    const raw = this.#rawOf(tx)
    refuseTransactionControl(sql)
    try {
      await this.#binding.script(sql, raw)
    } catch (error) {
      throw toTandemError(error, 'a script')
    }
  }

  inspect(candidate: unknown): 'open' | 'ended' | 'foreign' {
    if (candidate === null || (typeof candidate !== 'object' && typeof candidate !== 'function')) return 'foreign'
    const { guard, raw } = this.#find(candidate)
    if (raw === undefined || !this.#isOpen || !this.#binding.isHere(raw)) return 'foreign'
    return guard?.isOpen === false || !this.#binding.isOpen(raw, candidate) ? 'ended' : 'open'
  }

  classify(error: unknown): FailureKind {
    return classify(error)
  }

  warnings(): readonly string[] {
    const own = this.#binding.connections() === 1 && this.#turns === undefined ? [ONE_CONNECTION] : []
    return [...own, ...(this.#binding.warnings?.() ?? [])]
  }

  close(): Promise<void> {
    if (this.#within.getStore()?.isOpen === true) {
      const text = 'close() inside a transaction would wait for itself; call it when the transaction has ended'
      return Promise.reject(new TandemError('LIFECYCLE', text))
    }
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #run<T>(work: (tx: Tx) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    let guard: Guard | undefined
    let end: { readonly rejected: boolean; readonly reason?: unknown } | undefined
    try {
      return await this.#binding.transaction(async (raw) => {
        guard = new Guard(raw)
        const tx = guard.protect(this.#binding.handOut(raw, guard))
        try {
          const result = await this.#within.run(guard, work, tx)
          end = { rejected: false }
          guard.end('was committed')
          return result
        } catch (reason) {
          end = { rejected: true, reason }
          guard.end('was rolled back')
          throw reason
        }
      }, lockTimeout)
    } catch (error) {
      throw failureOf(error, guard, end)
    }
  }

  async #close(): Promise<void> {
    this.#turns?.refuse(this.#closedError())
    await this.#opening?.catch(() => undefined)
    await Promise.allSettled(this.#running)
    await this.#binding.close()
  }

  #checkUsable(): void {
    if (this.#closing !== undefined) throw this.#closedError()
    if (!this.#isOpen) throw new TandemError('LIFECYCLE', `the ${this.name} driver is not open; call open() first`)
  }

  /** With more connections than one it need not come to that, so nothing is refused; the wait for a connection is bounded. */
  #refuseWaitingForItself(): void {
    if (this.#within.getStore()?.isOpen !== true || this.#binding.connections() !== 1) return
    throw new TandemError(
      'TRANSACTION_INVALID',
      'this call needs a second connection, and the pool has one, which the transaction in whose work the call is made ' +
        'holds: use the transaction that the work was given, or let the pool have more connections',
    )
  }

  /** What a transaction runs on, and its guard if it is one that a driver has handed out, or is inside such a one. */
  #find(candidate: object): { readonly guard: Guard | undefined; readonly raw: Raw | undefined } {
    const connection = Guard.of(candidate)?.raw ?? this.#binding.connectionOf(candidate)
    const guard = Guard.of(candidate) ?? Guard.of(connection)
    const raw = guard?.raw ?? connection
    return { guard, raw: raw !== undefined && this.#binding.isTransaction(raw) ? raw : undefined }
  }

  #rawOf(tx: Tx): Raw {
    const guard = Guard.of(tx)
    // The way of nearly every statement.
    if (guard !== undefined && guard === this.#within.getStore() && guard.isOpen) return guard.raw as Raw
    switch (this.inspect(tx)) {
      case 'open':
        return this.#find(tx).raw as Raw
      case 'ended':
        this.#find(tx).guard?.check()
        throw new TandemError('TRANSACTION_ENDED', 'no transaction is open on the connection; BEGIN one first')
      case 'foreign':
        this.#checkOpen()
        throw new TandemError(
          'TRANSACTION_INVALID',
          `not a transaction of ${this.name} on the database that Tandem was given`,
        )
    }
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new TandemError('LIFECYCLE', `the ${this.name} driver is not open; call open() first`)
  }

  #closedError(): TandemError {
    return new TandemError('STORE_UNAVAILABLE', `the ${this.name} driver is closed`, { retryable: false })
  }
}

/** What a transaction fails with. `end`: how its work has ended; undefined if it has not, or has not begun. */
function failureOf(
  error: unknown,
  guard: Guard | undefined,
  end: { readonly rejected: boolean; readonly reason?: unknown } | undefined,
): unknown {
  if (guard === undefined) return toTandemError(error, 'beginning a transaction')
  if (end === undefined) {
    // The library has given up while the work goes on.
    guard.end('was rolled back, for its connection was lost')
    return toTandemError(error, 'a transaction')
  }
  if (end.rejected) return end.reason
  if (isTandemError(error) || classify(error) !== 'unavailable') return toTandemError(error, 'committing a transaction')
  const text = 'the connection was lost while committing: whether the transaction has been committed is not known'
  return new TandemError('STORE_UNAVAILABLE', text, { cause: error })
}
