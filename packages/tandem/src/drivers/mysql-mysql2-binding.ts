import { TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, Row, SqlValue, TransactionOptions } from '../spi/driver.ts'
import { differ, lostBeforeCommit, noConnection, placeOf, type Place } from './mysql-connection.ts'
import { MAX_TIMEOUT, type MysqlBinding } from './mysql-driver.ts'
import { isAnswer, isReadOnly } from './mysql-failures.ts'
import { guardConnection } from './mysql-mysql2-client.ts'
import { isCore, runOn, type CoreConnection, type CorePool, type ResultHeader } from './mysql-mysql2-core.ts'
import { Gate } from './mysql-mysql2-gate.ts'
import { Session } from './mysql-mysql2-session.ts'
import { begin, commit, rollBack, setBack, setLockTimeout } from './mysql-mysql2-steps.ts'
import { splitStatements } from './mysql-statements.ts'
import type { Guard } from './mysql-transaction.ts'
import { bindValues, PLAIN } from './mysql-values.ts'

export interface Mysql2Options {
  /**
   * Milliseconds to wait for a connection of the pool, where a transaction does not ask for less; afterwards the call fails with
   * `STORE_BUSY`. Default 30,000.
   */
  readonly connectionTimeout?: number
}

const NO_ROWS: readonly Row[] = []

/** mysql2. */
export class Mysql2Binding implements MysqlBinding<CoreConnection, object> {
  readonly name = 'mysql2'
  readonly #pool: CorePool
  /** Whether the user's pool is the one with promises. */
  readonly #hasPromises: boolean
  readonly #timeout: number
  readonly #gates = new WeakMap<CoreConnection, Gate>()
  readonly #guards = new WeakMap<CoreConnection, Guard>()
  #here: Place | undefined

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(where: string, pool: object, options: Mysql2Options) {
    checkOptions(where, options, ['connectionTimeout'])
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#timeout = checkNumber(`${where}: connectionTimeout`, options.connectionTimeout, limits)
    const core = corePoolOf(pool)
    if (core === undefined) throw new TandemError('CONFIG_INVALID', `${where}: pass a pool of the package mysql2`)
    this.#pool = core
    this.#hasPromises = core !== pool
    listenTo(core)
  }

  connections(): number | undefined {
    // 0 is without a limit.
    return this.#pool.config?.connectionLimit || undefined
  }

  async open(): Promise<void> {
    const core = await this.#acquire(this.#timeout)
    let failed = true
    try {
      await checkSession(core)
      this.#here = placeOf(core.config)
      failed = false
    } finally {
      giveBack(core, !failed)
    }
  }

  close(): void {
    // The pool is the user's.
  }

  async transaction<T>(work: (core: CoreConnection) => Promise<T>, options: TransactionOptions): Promise<T> {
    const { lockTimeout, isolation } = options
    const core = await this.#acquire(Math.min(lockTimeout ?? this.#timeout, this.#timeout))
    const session = Session.of(core)
    let lost: Error | undefined
    let gate: Gate | undefined
    const onLost = (error?: Error): void => {
      lost ??= error ?? closedByServer()
      gate?.lose(lost)
    }
    core.on('error', onLost)
    core.on('end', onLost)
    let isUsable = false
    try {
      const restore = lockTimeout === undefined ? undefined : await setLockTimeout(core, lockTimeout)
      await begin(core, session, isolation)
      gate = new Gate(core, session, (how, cause) => this.#guards.get(core)?.end(how, cause))
      this.#gates.set(core, gate)
      let result: T
      try {
        result = await work(core)
        if (lost !== undefined) throw lostBeforeCommit(lost)
      } catch (error) {
        isUsable = lost === undefined && (await rollBack(gate, restore))
        throw error
      }
      try {
        await commit(session, gate)
        isUsable = await setBack(gate, restore)
      } catch (error) {
        isUsable = isAnswer(error) && !isReadOnly(error) && (await rollBack(gate, restore))
        throw isReadOnly(error) ? refusedCommit(error) : error
      }
      return result
    } finally {
      gate?.remove()
      this.#gates.delete(core)
      this.#guards.delete(core)
      core.removeListener('error', onLost)
      core.removeListener('end', onLost)
      giveBack(core, isUsable && lost === undefined)
    }
  }

  handOut(core: CoreConnection, guard: Guard): object {
    this.#guards.set(core, guard)
    const guarded = guardConnection(core, guard)
    return this.#hasPromises ? guarded.promise() : guarded
  }

  async query(sql: string, params: readonly SqlValue[], core: CoreConnection | undefined): Promise<QueryResult> {
    if (core !== undefined) return this.#queryIn(core, sql, params)
    const own = await this.#acquire(this.#timeout)
    let isUsable = false
    try {
      const session = Session.of(own)
      // What somebody has left behind is not committed by Tandem, nor read.
      if (session.isInTransaction) await runOn(own, 'ROLLBACK')
      const result = await runPlain(own, session, sql, params)
      // A session without autocommit has begun a transaction, whose snapshot would be the next one's.
      if (session.isInTransaction) await runOn(own, 'COMMIT')
      isUsable = true
      return result
    } catch (error) {
      isUsable = isAnswer(error) && !isReadOnly(error)
      throw error
    } finally {
      giveBack(own, isUsable)
    }
  }

  /** Statement by statement. One that defines a table commits what was before it: what follows is in a new transaction. */
  async script(sql: string, core: CoreConnection): Promise<void> {
    const gate = this.#gates.get(core)
    const session = await known(core)
    for (const statement of splitStatements(sql)) {
      if (gate !== undefined) gate.lets = true
      try {
        await runOn(core, statement, PLAIN)
        if ((await session.settled()) === 'none') await runOn(core, 'START TRANSACTION')
      } finally {
        if (gate !== undefined) gate.lets = false
      }
    }
  }

  connectionOf(candidate: object): object {
    // With promises, it is inside.
    const { connection } = candidate as { readonly connection?: unknown }
    return typeof connection === 'object' && connection !== null ? connection : candidate
  }

  isTransaction(candidate: object): candidate is CoreConnection {
    return isCore(candidate)
  }

  isOpen(core: CoreConnection): boolean {
    // One that has not been met before is asked when the first statement is run on it.
    return Session.of(core).state !== 'none'
  }

  isHere(core: CoreConnection): boolean {
    return this.#here === undefined || !differ(placeOf(core.config), this.#here)
  }

  async #queryIn(core: CoreConnection, sql: string, params: readonly SqlValue[]): Promise<QueryResult> {
    const broken = this.#gates.get(core)?.broken
    if (broken !== undefined) throw broken
    // In a transaction of Tandem's own the gate waits until it is known.
    const session = this.#gates.has(core) ? Session.of(core) : await known(core)
    return runPlain(core, session, sql, params)
  }

  /** A connection of the pool; gives it back at once if it comes too late. */
  #acquire(timeout: number): Promise<CoreConnection> {
    return new Promise((resolve, reject) => {
      let tooLate = false
      const timer = setTimeout(() => {
        tooLate = true
        reject(noConnection(this.connections(), timeout))
      }, timeout)
      this.#pool.getConnection((error, core) => {
        clearTimeout(timer)
        if (error !== null && error !== undefined) reject(error)
        else if (tooLate) core.release()
        else resolve(core)
      })
    })
  }
}

/** The session of a connection of the user's, and certainty that a transaction is open on it. @throws TandemError `TRANSACTION_ENDED` */
async function known(core: CoreConnection): Promise<Session> {
  const session = Session.of(core)
  if ((await session.settled()) === 'open') return session
  throw new TandemError('TRANSACTION_ENDED', 'no transaction is open on the connection; begin one first')
}

async function runPlain(
  core: CoreConnection,
  { backslash }: Session,
  sql: string,
  params: readonly SqlValue[],
): Promise<QueryResult> {
  const result = await runOn(core, bindValues(sql, params, backslash), PLAIN)
  if (Array.isArray(result)) return { rows: result as Row[], changed: 0 }
  return { rows: NO_ROWS, changed: changedBy(sql, result as ResultHeader) }
}

/** The rows that an UPDATE has found, whether or not they had the values before; the flags of the connection do not matter. */
function changedBy(sql: string, { affectedRows, info }: ResultHeader): number {
  const found = /^\s*UPDATE\b/i.test(sql) ? /\d+/.exec(info)?.[0] : undefined
  return Number(found ?? affectedRows)
}

/** The server has said it, so that it is known. */
function refusedCommit(cause: unknown): TandemError {
  return new TandemError('STORE_UNAVAILABLE', 'the server takes no writes, and nothing was committed', { cause })
}

function closedByServer(): Error {
  return Object.assign(new Error('the server has closed the connection'), { code: 'PROTOCOL_CONNECTION_LOST' })
}

function giveBack(core: CoreConnection, isUsable: boolean): void {
  if (isUsable) core.release()
  else core.destroy()
}

/** @throws TandemError `CONFIG_INVALID` if text would be lost on the way */
async function checkSession(core: CoreConnection): Promise<void> {
  const ask = 'SELECT @@character_set_client AS sent, @@character_set_results AS received'
  const [row] = (await runOn(core, ask, PLAIN)) as Row[]
  const other = [row?.['sent'], row?.['received']].map(String).find((charset) => charset !== 'utf8mb4')
  if (other === undefined) return
  throw new TandemError(
    'CONFIG_INVALID',
    `mysql2: the character set of the connection is ${other}, which has not every character that a message can have; ` +
      "make the pool with charset: 'utf8mb4'",
  )
}

function corePoolOf(pool: object): CorePool | undefined {
  const { pool: inner } = pool as { readonly pool?: unknown }
  const core = (typeof inner === 'object' && inner !== null ? inner : pool) as Partial<CorePool>
  const isPool = typeof core.getConnection === 'function' && typeof core.on === 'function'
  return isPool ? (core as CorePool) : undefined
}

const heard = new WeakSet<CorePool>()

/** For good, because a pool outlives a driver: each connection is followed from its beginning, when no transaction is open on it. */
function listenTo(pool: CorePool): void {
  if (heard.has(pool)) return
  heard.add(pool)
  pool.on('connection', meet)
  pool.on('acquire', meet)
}

const met = new WeakSet<CoreConnection>()

function meet(core: CoreConnection): void {
  if (met.has(core)) return
  met.add(core)
  Session.of(core)
  // The pool removes the connection by itself at the first error; the second one would end the process if nobody listened.
  core.on('error', () => undefined)
}
