/**
 * The seam to the user's own database library. A driver runs statements and transactions through it and knows nothing about what the
 * statements mean. It is handed in by the user; Tandem imports none.
 */
export type Dialect = 'postgres' | 'mysql' | 'sqlite'

export type SqlValue = string | number | bigint | null | Uint8Array

export type Row = Readonly<Record<string, unknown>>

export interface QueryResult {
  /** The rows of a SELECT or of RETURNING; otherwise none. */
  readonly rows: readonly Row[]
  /** Rows inserted, updated or deleted. */
  readonly changed: number
}

export interface TransactionOptions {
  /**
   * Milliseconds to wait for the right to begin (and, where the database locks rows, for each lock) before the call fails with
   * `STORE_BUSY`. Default: the driver's own, 30,000 unless it says otherwise.
   */
  readonly lockTimeout?: number
  /**
   * The isolation level to begin with. Only asked for where a transaction cannot be told once it is open (MySQL); other drivers need not
   * look at it. Default: what the connection has.
   */
  readonly isolation?: 'read uncommitted' | 'read committed'
}

export interface DriverCapabilities {
  /** Whether two transactions of one process can be open at the same time. SQLite has one writer. */
  readonly concurrentTransactions: boolean
  /**
   * Whether the statements of a transaction, and its COMMIT, are sent without waiting for the answers to those before. Then one that is not
   * awaited costs no round trip; if it fails, the transaction is rolled back. Default false.
   */
  readonly pipelining?: boolean
}

/**
 * What a failed statement says about the database.
 *
 * `busy`: a lock was not given in time. `full`: no room. `unavailable`: not reachable, not writable, or gone.
 * `conflict`: the transaction lost against another one; the same transaction may succeed at once. `other`: the statement's own fault.
 */
export type FailureKind = 'busy' | 'full' | 'unavailable' | 'conflict' | 'other'

/** What an adapter is told when it is opened. */
export interface OpenContext {
  /** Names the database, file or connection where the adapter is free to choose it. */
  readonly service: string
  /** False: a database that is not there is an error, and not made. For those who only look. Default true. */
  readonly create?: boolean
}

/**
 * @typeParam Tx the transaction object of the user's library; what `tandem.send` takes and a handler gets
 */
export interface Driver<Tx> {
  /** For messages to people, for example `node-sqlite`. */
  readonly name: string
  readonly dialect: Dialect
  readonly capabilities: DriverCapabilities

  /** Called once before anything else; idempotent. */
  open(context: OpenContext): Promise<void>

  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. The rejection is passed on as it is.
   *
   * @throws TandemError `STORE_BUSY`, `STORE_FULL`, `STORE_CONFLICT`, `STORE_UNAVAILABLE` when beginning or committing fails
   * @throws TandemError `TRANSACTION_ENDED` when the database has rolled back although the work resolves
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>

  /**
   * Runs one statement: in `tx`, or, without one, as a read that sees only what is committed.
   *
   * @param sql in the dialect's own parameter style (`?` or `$1`). Libraries convert a value by the type that the database infers for its
   * parameter, so on PostgreSQL that may only be text, a number type or bytea: JSON goes in as `$1::text::json`. Every column of the
   * result is named in the text; no `*`
   * @throws TandemError for what `classify` calls anything but other; otherwise the library's own error
   */
  query(sql: string, params: readonly SqlValue[], tx?: Tx): Promise<QueryResult>

  /** Runs several statements without parameters in `tx`. For migrations. */
  script(sql: string, tx: Tx): Promise<void>

  /** What `candidate` is: an open transaction of this library on this database, one that has ended, or something else. */
  inspect(candidate: unknown): 'open' | 'ended' | 'foreign'

  classify(error: unknown): FailureKind

  /** What works, and what somebody should change all the same; in words, for people. Asked once the driver is open. */
  warnings?(): readonly string[]

  /** Closes what the driver itself opened; never what the user handed in. Idempotent. */
  close(): Promise<void>
}
