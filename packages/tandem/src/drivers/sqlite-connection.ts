import { TandemError } from '../core/errors.ts'
import type { QueryResult, Row, SqlValue } from '../spi/driver.ts'
import type { SqliteBinding, SqliteDatabase, SqliteStatement } from './sqlite-binding.ts'
import { classify } from './sqlite-failures.ts'
import { statementKinds, type StatementKind } from './sqlite-statements.ts'

/** Statements of one kind and connection that are kept prepared: between this many and twice as many. */
const KEPT = 100
/** `PRAGMA synchronous`: each commit is on the disk before it returns. */
const FULL = 2
const NO_ROWS: readonly Row[] = []

/** Keeps what was used last: a generation that is full becomes the old one, and what is used again moves on. */
class Recent<V> {
  #young = new Map<string, V>()
  #old = new Map<string, V>()

  get(key: string): V | undefined {
    const value = this.#young.get(key)
    if (value !== undefined) return value
    const older = this.#old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: string, value: V): void {
    if (this.#young.size >= KEPT) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}

interface Prepared {
  readonly statement: SqliteStatement
  readonly returnsRows: boolean
  readonly kind: StatementKind
}

/** One connection with its prepared statements. Everything here is synchronous, as SQLite is. */
export class SqliteConnection<Db extends SqliteDatabase = SqliteDatabase> {
  readonly db: Db
  /** Absolute path of the main database; undefined when it is in memory. */
  readonly file: string | undefined
  readonly #binding: SqliteBinding<Db>
  readonly #own = new Recent<Prepared>()
  readonly #users = new Recent<SqliteStatement>()
  readonly #controls = new Map<string, SqliteStatement>()

  constructor(binding: SqliteBinding<Db>, db: Db) {
    this.#binding = binding
    this.db = db
    this.file = binding.file(db)
  }

  get inTransaction(): boolean {
    return this.#binding.isOpen(this.db) && this.#binding.inTransaction(this.db)
  }

  /** What the driver needs of the connection that it writes with. Safe to repeat. */
  setUp(): void {
    if (this.inTransaction) throw new Occupied(FOREIGN_TRANSACTION)
    // SQLite's own waiting would stop the event loop.
    this.db.exec('PRAGMA busy_timeout = 0')
    if (this.file !== undefined) {
      const mode = this.execute('PRAGMA journal_mode = WAL', []).rows[0]?.['journal_mode']
      if (mode !== 'wal') throw notWal(this.file, String(mode))
    }
    // Last, because some builds of SQLite have a weaker default for WAL.
    const { synchronous } = this.execute('PRAGMA synchronous', []).rows[0] ?? {}
    if (Number(synchronous) < FULL) this.db.exec('PRAGMA synchronous = FULL')
  }

  /**
   * Takes the right to write.
   *
   * @throws what `classify` calls busy, also for a transaction or a read that the user has open on this connection
   */
  begin(): void {
    if (this.inTransaction) throw new Occupied(FOREIGN_TRANSACTION)
    try {
      this.#control('BEGIN IMMEDIATE')
    } catch (error) {
      throw classify(error) === 'conflict' ? new Occupied(UNFINISHED_READ, { cause: error }) : error
    }
  }

  commit(): void {
    this.#control('COMMIT')
  }

  /** Never throws: SQLite may have rolled back by itself, and the error that led here is the one that matters. */
  rollBack(): void {
    try {
      if (this.inTransaction) this.#control('ROLLBACK')
    } catch {
      // What stays open is not committed; the driver lets go of the connection, if it is its own.
    }
  }

  /** Runs one of Tandem's own statements. */
  execute(sql: string, params: readonly SqlValue[]): QueryResult {
    return run(this.#own.get(sql) ?? this.#prepareOwn(sql), params)
  }

  /** Runs one of Tandem's own statements outside of a transaction, so that it sees only what is committed. */
  read(sql: string, params: readonly SqlValue[]): QueryResult {
    if (this.inTransaction) throw new Occupied(FOREIGN_TRANSACTION)
    const prepared = this.#own.get(sql) ?? this.#prepareOwn(sql)
    if (prepared.kind === 'read') return run(prepared, params)
    throw new TandemError('TRANSACTION_INVALID', `a statement that writes needs a transaction: ${start(sql)}`)
  }

  /** Prepares a statement for the user. */
  prepare(sql: string): SqliteStatement {
    const kept = this.#users.get(sql)
    if (kept !== undefined) return kept
    refuseTransactionControl(sql)
    const statement = this.db.prepare(sql)
    this.#users.set(sql, statement)
    return statement
  }

  /** Prepares a statement that nobody else uses. */
  prepareAlone(sql: string): SqliteStatement {
    refuseTransactionControl(sql)
    return this.db.prepare(sql)
  }

  /** Runs any number of statements without parameters. */
  script(sql: string): void {
    refuseTransactionControl(sql)
    this.db.exec(sql)
  }

  close(): void {
    if (this.#binding.isOpen(this.db)) this.db.close()
  }

  #control(sql: string): void {
    let statement = this.#controls.get(sql)
    if (statement === undefined) {
      statement = this.db.prepare(sql)
      this.#controls.set(sql, statement)
    }
    statement.run()
  }

  #prepareOwn(sql: string): Prepared {
    const kinds = refuseTransactionControl(sql)
    const statement = this.db.prepare(sql)
    const returnsRows = this.#binding.returnsRows(statement)
    if (returnsRows) this.#binding.plain(statement)
    const prepared = { statement, returnsRows, kind: kinds[0] ?? 'other' }
    this.#own.set(sql, prepared)
    return prepared
  }
}

/** What stands in the way is the user's doing on this very connection; it is waited for as any other lock is. */
class Occupied extends Error {
  readonly code = 'SQLITE_BUSY'
}

const FOREIGN_TRANSACTION = 'a transaction that Tandem did not begin is open on its connection'
const UNFINISHED_READ = 'an unfinished read holds the connection on a snapshot that is out of date'

function notWal(file: string, mode: string): TandemError {
  const text = `${file} cannot be switched to WAL (its journal mode is ${mode}): it must be writable and on a local disk`
  return new TandemError('STORE_UNAVAILABLE', text, { retryable: false })
}

function run({ statement, returnsRows, kind }: Prepared, params: readonly SqlValue[]): QueryResult {
  if (returnsRows) {
    const rows = statement.all(...params) as Row[]
    return { rows, changed: kind === 'write' ? rows.length : 0 }
  }
  const { changes } = statement.run(...params)
  // What is neither written nor read says the number of the statement before it.
  return { rows: NO_ROWS, changed: kind === 'write' ? Number(changes) : 0 }
}

function refuseTransactionControl(sql: string): readonly StatementKind[] {
  const kinds = statementKinds(sql)
  if (!kinds.includes('transaction')) return kinds
  throw new TandemError(
    'TRANSACTION_INVALID',
    `refused to run ${start(sql)}: Tandem begins and ends its transactions itself. Return to commit, throw to roll ` +
      'back; savepoints are allowed',
  )
}

function start(sql: string): string {
  return JSON.stringify(sql.length > 80 ? `${sql.slice(0, 80)}…` : sql)
}
