import { TandemError } from '../core/errors.ts'
import type {
  Driver,
  DriverCapabilities,
  FailureKind,
  OpenContext,
  QueryResult,
  SqlValue,
  TransactionOptions,
} from '../spi/driver.ts'
import {
  followedOf,
  followTransactions,
  lendTransaction,
  withinConnection,
  type DrizzleSession,
} from './drizzle-transactions.ts'
import { betterSqlite3Binding, type BetterSqlite3Database } from './sqlite-better-sqlite3.ts'
import { SqliteDriver, type SqliteDriverOptions } from './sqlite-driver.ts'
import { statementKinds } from './sqlite-statements.ts'
import type { GuardedTransaction } from './sqlite-transaction.ts'

/**
 * drizzle over better-sqlite3. The transactions are those of the driver `better-sqlite3`, in which drizzle makes its transaction objects; those
 * that drizzle begins itself are synchronous, and nothing that is asynchronous can be done in them.
 */
export class DrizzleSqliteDriver implements Driver<DrizzleSession> {
  readonly name = 'drizzle'
  readonly dialect = 'sqlite'
  readonly capabilities: DriverCapabilities
  readonly #db: DrizzleSession
  readonly #client: BetterSqlite3Database
  readonly #below: SqliteDriver<BetterSqlite3Database, GuardedTransaction>

  constructor(db: DrizzleSession, client: BetterSqlite3Database, options: SqliteDriverOptions) {
    this.#db = db
    this.#client = client
    this.#below = new SqliteDriver(betterSqlite3Binding, client, options)
    this.capabilities = this.#below.capabilities
    lendTransaction(client)
    followTransactions(db, client)
  }

  static isClient(client: object): client is BetterSqlite3Database {
    return betterSqlite3Binding.isDatabase(client)
  }

  open(context: OpenContext): Promise<void> {
    return this.#below.open(context)
  }

  transaction<T>(work: (tx: DrizzleSession) => Promise<T>, options?: TransactionOptions): Promise<T> {
    const how = { source: this.#client, given: this.#client, connection: this.#client }
    const run = (guarded: GuardedTransaction): Promise<T> =>
      withinConnection(this.#db, how, (tx) => work(this.#handOut(tx, guarded))) as Promise<T>
    return this.#below.transaction(async (guarded) => run(guarded), options)
  }

  query(sql: string, params: readonly SqlValue[], tx?: DrizzleSession): Promise<QueryResult> {
    return this.#below.query(sql, params, tx && this.#guardedOf(tx))
  }

  script(sql: string, tx: DrizzleSession): Promise<void> {
    return this.#below.script(sql, this.#guardedOf(tx))
  }

  inspect(candidate: unknown): 'open' | 'ended' | 'foreign' {
    const found = handedOut.get(candidate as object)
    if (found === undefined) return 'foreign'
    const state = this.#below.inspect(found.guarded)
    return state === 'open' && !isOpen(found) ? 'ended' : state
  }

  classify(error: unknown): FailureKind {
    return this.#below.classify(error)
  }

  close(): Promise<void> {
    return this.#below.close()
  }

  /** The guard of what any driver on drizzle has handed out; whether it is of this database is asked with it. */
  #guardedOf(tx: DrizzleSession): GuardedTransaction {
    const found = handedOut.get(tx)
    if (found !== undefined) {
      if (found.guarded.isTransaction) checkOpen(found)
      return found.guarded
    }
    throw new TandemError(
      'TRANSACTION_INVALID',
      'not a transaction that Tandem has begun. What drizzle itself begins on better-sqlite3 is synchronous, and ends before anything can be ' +
        'sent in it: use `tandem.transaction(async (tx) => …)`, which gives a transaction of drizzle',
    )
  }

  #handOut(tx: DrizzleSession, guarded: GuardedTransaction): DrizzleSession {
    const own: Readonly<Record<string | symbol, unknown>> = {
      transaction: (work: (tx: DrizzleSession) => unknown) => this.#savepoint(tx, guarded, work),
      ...Object.fromEntries(['run', 'all', 'get', 'values'].map((name) => [name, checked(tx, name)])),
    }
    const given = new Proxy(tx, {
      get: (target, name, receiver) => {
        // Who waits for a promise looks for `then`, and who prints it for symbols.
        if (typeof name === 'string' && name in target) checkOpen({ tx, guarded })
        return Object.hasOwn(own, name) ? own[name] : (Reflect.get(target, name, receiver) as unknown)
      },
    })
    handedOut.set(given, { tx, guarded })
    return given
  }

  /** A savepoint whose work may be asynchronous, which drizzle's own has released by then. */
  async #savepoint(
    tx: DrizzleSession,
    guarded: GuardedTransaction,
    work: (tx: DrizzleSession) => unknown,
  ): Promise<unknown> {
    const name = `tandem_${++savepoints}`
    guarded.exec(`SAVEPOINT ${name}`)
    try {
      const result = await tx.transaction((inner) => work(this.#handOut(inner, guarded)))
      guarded.exec(`RELEASE ${name}`)
      return result
    } catch (error) {
      // SQLite may have rolled everything back by itself.
      if (guarded.isTransaction) guarded.exec(`ROLLBACK TO ${name}; RELEASE ${name}`)
      throw error
    }
  }
}

interface HandedOut {
  readonly tx: DrizzleSession
  readonly guarded: GuardedTransaction
}

/** What any driver on drizzle has handed out. */
const handedOut = new WeakMap<object, HandedOut>()
let savepoints = 0

/** Whether the work of the transaction, or of the savepoint, still runs. */
function isOpen({ tx }: HandedOut): boolean {
  return followedOf(tx)?.isOpen() === true
}

/** @throws TandemError `TRANSACTION_ENDED` */
function checkOpen(one: HandedOut): void {
  one.guarded.connection()
  if (isOpen(one)) return
  throw new TandemError(
    'TRANSACTION_ENDED',
    'this transaction or savepoint has ended; nothing can be run in it any more',
  )
}

/** A method of drizzle that takes a statement as it is. */
function checked(tx: DrizzleSession, name: string): (query: unknown) => unknown {
  return (query) => {
    const text = textOf(query)
    if (statementKinds(text).includes('transaction')) {
      const what = JSON.stringify(text.slice(0, 80))
      throw new TandemError(
        'TRANSACTION_INVALID',
        `refused to run ${what}: Tandem begins and ends its transactions itself. Return to commit, throw to roll back; savepoints are allowed`,
      )
    }
    return (Reflect.get(tx, name) as (query: unknown) => unknown).call(tx, query)
  }
}

/** The text of a statement, with gaps where its values are. */
function textOf(query: unknown): string {
  if (typeof query === 'string') return query
  const { queryChunks } = (query ?? {}) as { readonly queryChunks?: readonly { readonly value?: unknown }[] }
  return (queryChunks ?? []).map((chunk) => (Array.isArray(chunk?.value) ? chunk.value.join('') : ' ? ')).join('')
}
