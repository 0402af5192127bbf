import { TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { QueryResult, Row, SqlValue } from '../spi/driver.ts'
import { guardOf, isKysely, isOpen, isPooled, originOf, run, type Kysely } from './kysely-database.ts'
import { KyselyGuard } from './kysely-guard.ts'
import { inTime, rolledBackInstead } from './postgres-connection.ts'
import { MAX_TIMEOUT, type PostgresBinding } from './postgres-driver.ts'
import type { Guard } from './postgres-transaction.ts'

export interface KyselyOptions {
  /**
   * Milliseconds to wait for a connection, where a transaction does not ask for less; afterwards the call fails with `STORE_BUSY`.
   * Default 30,000.
   */
  readonly connectionTimeout?: number
}

const PROBE = `SELECT 'a'::text AS of_text, 1::int AS of_int, 0.5::float8 AS of_float, true AS of_boolean, '{"a":1}'::text AS of_json,
  '\\x00ff'::bytea AS of_bytes`
const PROBED = { of_text: 'a', of_int: 1, of_float: 0.5, of_boolean: true, of_json: '{"a":1}', of_bytes: '00ff' }

/** Kysely on PostgreSQL. */
export class KyselyPostgresBinding implements PostgresBinding<Kysely, Kysely> {
  readonly name = 'kysely'
  readonly isSingle: boolean
  readonly #db: Kysely
  readonly #timeout: number

  /** @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN` */
  constructor(db: Kysely, options: KyselyOptions) {
    checkOptions('kysely', options, ['connectionTimeout'])
    const limits = { min: 1, max: MAX_TIMEOUT, default: 30_000 }
    this.#db = db
    this.#timeout = checkNumber('kysely: connectionTimeout', options.connectionTimeout, limits)
    this.isSingle = !isPooled(db)
  }

  connections(): number | undefined {
    return this.isSingle ? 1 : undefined
  }

  async open(): Promise<void> {
    const { rows } = await this.query(PROBE, [], undefined)
    const [row] = rows
    const bytes = row?.['of_bytes']
    const seen = { ...row, of_bytes: bytes instanceof Uint8Array ? Buffer.from(bytes).toString('hex') : bytes }
    if (JSON.stringify(seen) === JSON.stringify(PROBED)) return
    throw new TandemError(
      'CONFIG_INVALID',
      `kysely: text, numbers, booleans or bytes do not arrive as such, but as ${JSON.stringify(seen)}: take back what was set for ` +
        'their types (`types.setTypeParser`, for example), or give Tandem an instance of its own',
    )
  }

  close(): void {
    // The instance is the user's.
  }

  async transaction<T>(work: (trx: Kysely) => Promise<T>, lockTimeout: number | undefined): Promise<T> {
    return inTime(
      (begun) =>
        this.#db.transaction().execute(async (trx) => {
          begun()
          if (lockTimeout !== undefined) await run(trx, `SET LOCAL lock_timeout = ${lockTimeout}`, [])
          return work(trx)
        }),
      Math.min(lockTimeout ?? this.#timeout, this.#timeout),
      this.connections(),
    ).catch((error: unknown) => {
      throw isAborted(error) ? rolledBackInstead(error) : error
    })
  }

  handOut(trx: Kysely, guard: Guard): Kysely {
    return trx.withPlugin(new KyselyGuard(guard))
  }

  async query(sql: string, params: readonly SqlValue[], trx: Kysely | undefined): Promise<QueryResult> {
    const { rows, changed } = await (trx === undefined ? this.#alone(sql, params) : run(trx, sql, params))
    return { rows: rows.map(plain), changed }
  }

  async script(sql: string, trx: Kysely): Promise<void> {
    await run(trx, sql, [])
  }

  connectionOf(candidate: object): object {
    return (isKysely(candidate) ? guardOf(candidate)?.raw : undefined) ?? candidate
  }

  isTransaction(candidate: object): candidate is Kysely {
    return isKysely(candidate) && candidate.isTransaction
  }

  isOpen(trx: Kysely, candidate: object): boolean {
    const guard = guardOf(candidate as Kysely)
    return guard?.isOpen !== false && isOpen(trx)
  }

  isHere(trx: Kysely): boolean {
    return originOf(trx) === originOf(this.#db)
  }

  #alone(sql: string, params: readonly SqlValue[]): Promise<QueryResult> {
    return inTime(
      (begun) =>
        this.#db.connection().execute((connection) => {
          begun()
          return run(connection, sql, params)
        }),
      this.#timeout,
      this.connections(),
    )
  }
}

/** Kysely's own error for a COMMIT that PostgreSQL has answered with ROLLBACK. */
function isAborted(error: unknown): boolean {
  return typeof error === 'object' && error !== null && Symbol.for('kysely.AbortedTransactionError') in error
}

/** A row whose large integers are text, as those of the other drivers are. */
function plain(row: Row): Row {
  for (const value of Object.values(row)) {
    if (typeof value === 'bigint') {
      return Object.fromEntries(
        Object.entries(row).map(([name, one]) => [name, typeof one === 'bigint' ? `${one}` : one]),
      )
    }
  }
  return row
}
