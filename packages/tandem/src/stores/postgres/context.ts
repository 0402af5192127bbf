import { TandemError } from '../../core/errors.ts'
import type { Driver, QueryResult, Row, SqlValue, TransactionOptions } from '../../spi/driver.ts'

const TABLE_NAMES = [
  'schema_version',
  'outbox',
  'outbox_held',
  'half',
  'barrier',
  'inbox',
  'inbox_failure',
  'inbox_attempt',
  'lease',
  'process',
  'audit',
] as const

type Tables = Readonly<Record<(typeof TABLE_NAMES)[number], string>>

/** How the numbered SQL files name the schema. */
export const FILE_SCHEMA = 'tandem.'

/**
 * PostgreSQL's clock when the statement arrived. Unlike `now()` it goes on within a transaction, unlike `clock_timestamp()` it is the same
 * for a whole statement, so that an index can be read by it. Whole milliseconds, which is what pages are cut by.
 */
export const POSTGRES_CLOCK = "date_trunc('milliseconds', statement_timestamp())"

/** How often the store's own transactions and statements are run when they lose against others. */
const TRIES = 5

/** What every area of the store works with. */
export interface PostgresContext<Tx> {
  readonly driver: Driver<Tx>
  /** Not quoted. */
  readonly schema: string
  readonly tables: Tables
  /** The sequence of places in the outbox. */
  readonly positions: string
  /** SQL expression: the instant, by the database's clock. */
  readonly now: string
  /** Runs one statement that is a transaction of its own. */
  single(sql: string, params: readonly SqlValue[]): Promise<QueryResult>
  /** As `single`, for its rows. */
  read(sql: string, params: readonly SqlValue[]): Promise<readonly Row[]>
  /** Reads or writes in a transaction. */
  run(tx: Tx, sql: string, params: readonly SqlValue[]): Promise<QueryResult>
  /** A transaction of the store's own: READ COMMITTED, whatever the database's default is, and run again when it loses. */
  own<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** Called when the default is known: where it is not READ COMMITTED, the store has to ask for it. */
  setDefaultIsolation(level: string): void
}

export function createContext<Tx>(driver: Driver<Tx>, schema: string, now: string): PostgresContext<Tx> {
  // It becomes part of statements, where nothing can be bound.
  if (!/^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new TandemError(
      'CONFIG_INVALID',
      `postgres: schema ${JSON.stringify(schema)} must be 1 to 63 of a-z, 0-9 and "_", not begin with a digit, and not be PostgreSQL's own`,
    )
  }
  let readCommitted = true
  const run: PostgresContext<Tx>['run'] = (tx, sql, params) => driver.query(sql, params, tx)
  const own: PostgresContext<Tx>['own'] = (work, options) =>
    again(driver, () =>
      driver.transaction(async (tx) => {
        if (!readCommitted) await run(tx, 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', [])
        return work(tx)
      }, options),
    )
  const single: PostgresContext<Tx>['single'] = (sql, params) =>
    readCommitted ? again(driver, () => driver.query(sql, params)) : own((tx) => run(tx, sql, params))
  return {
    driver,
    schema,
    tables: Object.fromEntries(TABLE_NAMES.map((name) => [name, `"${schema}".${name}`])) as Tables,
    positions: `"${schema}".outbox_position`,
    now,
    single,
    read: async (sql, params) => (await single(sql, params)).rows,
    run,
    own,
    setDefaultIsolation: (level) => {
      readCommitted = level === 'read committed'
    },
  }
}

/** Whoever lost against another transaction (a deadlock, say) has changed nothing and can do it again at once. */
async function again<T>(driver: Pick<Driver<never>, 'classify'>, act: () => Promise<T>): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await act()
    } catch (error) {
      if (left <= 1 || driver.classify(error) !== 'conflict') throw error
    }
  }
}

/** SQL expression: milliseconds since the epoch. */
export function ms(instant: string): string {
  return `round(extract(epoch FROM ${instant}) * 1000)::int8`
}

/** SQL expression: the instant so many milliseconds (a parameter) after another. */
export function plusMs(instant: string, parameter: string): string {
  return `${instant} + ${parameter}::float8 * interval '1 millisecond'`
}

/** SQL expression: the instant of a parameter in milliseconds since the epoch. */
export function instantOf(parameter: string): string {
  return `to_timestamp(${parameter}::float8 / 1000)`
}

/** SQL expression: the texts of a parameter that is a JSON list, for `= ANY (…)`. */
export function anyText(parameter: string): string {
  return `ANY (ARRAY (SELECT json_array_elements_text(${parameter}::text::json)))`
}

/** The same for whole numbers. */
export function anyNumber(parameter: string): string {
  return `ANY (ARRAY (SELECT json_array_elements_text(${parameter}::text::json)::bigint))`
}

/**
 * Behind a subquery of EXISTS: it is answered row by row, from an index. PostgreSQL would otherwise read the whole table of what is held,
 * or has failed, where it takes the rows to ask about for many.
 */
export const ROW_BY_ROW = 'OFFSET 0'

/** SQL expression: a key for advisory locks, of what `name` (a part of the statement) and `seed` say. */
export function lockKey(schema: string, name: string, seed = '0'): string {
  return `hashtextextended('tandem ${schema} ' || ${name}, ${seed})`
}

// eslint-disable-next-line no-control-regex -- a control character is just what this looks for
const UNFIT = /[\u0000\ud800-\udfff]/
// eslint-disable-next-line no-control-regex -- as above
const NULLS = /\u0000/g

/** A text as PostgreSQL can store it: without the character 0 and without halves of characters. Messages of others may have either. */
export function clean(text: string): string {
  return UNFIT.test(text) ? text.replaceAll(NULLS, '\ufffd').toWellFormed() : text
}

export function cleanOrNull(text: string | undefined): string | null {
  return text === undefined ? null : clean(text)
}

/** Years 1 to 275,760: all that a Date can be, but for what is before our era. */
export function instantParam(milliseconds: number): number {
  return Math.max(-62_135_596_800_000, Math.round(milliseconds))
}
