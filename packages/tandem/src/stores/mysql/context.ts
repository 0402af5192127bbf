import { createHash } from 'node:crypto'
import { TandemError } from '../../core/errors.ts'
import type { Driver, QueryResult, Row, SqlValue, TransactionOptions } from '../../spi/driver.ts'
import { SERVER_QUESTION, serverOf, type Server } from './server.ts'

const TABLE_NAMES = [
  'schema_version',
  'outbox',
  'outbox_back',
  'outbox_held',
  'half',
  'barrier',
  'inbox',
  'inbox_failure',
  'inbox_attempt',
  'lease',
  'process',
  'audit',
  'turn',
] as const

type Tables = Readonly<Record<(typeof TABLE_NAMES)[number], string>>

/** The prefix under which the numbered SQL files name the tables. */
export const FILE_PREFIX = 'tandem_'

/**
 * The server's clock when the statement arrived, in UTC: whatever time zone a session has, and whatever hour there is twice in it. It is the
 * same for a whole statement, so that an index can be read by it.
 */
export const MYSQL_CLOCK = 'utc_timestamp(3)'

/** How often the store's own transactions and statements are run when they lose against others. */
const TRIES = 5

/** What every area of the store works with. */
export interface MysqlContext<Tx> {
  readonly driver: Driver<Tx>
  readonly prefix: string
  readonly tables: Tables
  /** SQL expression: the instant, by the database's clock. */
  readonly now: string
  /** Known from the time on when the store is opened. */
  server(): Server
  /** Asks the server what it is. */
  meet(): Promise<void>
  /** Reads what is committed. */
  read(sql: string, params: readonly SqlValue[]): Promise<readonly Row[]>
  /** Reads or writes in a transaction. */
  run(tx: Tx, sql: string, params: readonly SqlValue[]): Promise<QueryResult>
  /**
   * A transaction of the store's own: READ COMMITTED, so that it locks rows and never the gaps between them, and sees what has just been
   * committed; and run again when it loses against others.
   */
  own<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>
}

export function createContext<Tx>(driver: Driver<Tx>, prefix: string, now: string): MysqlContext<Tx> {
  // It becomes part of statements, where nothing can be bound.
  if (!/^[a-z][a-z0-9_]{0,30}_$/.test(prefix)) {
    throw new TandemError(
      'CONFIG_INVALID',
      `mysql: tablePrefix ${JSON.stringify(prefix)} must be 2 to 32 of a-z, 0-9 and "_", begin with a letter and end with "_"`,
    )
  }
  let server: Server | undefined
  const read: MysqlContext<Tx>['read'] = async (sql, params) =>
    (await again(driver, () => driver.query(sql, params))).rows
  return {
    driver,
    prefix,
    tables: Object.fromEntries(TABLE_NAMES.map((name) => [name, `\`${prefix}${name}\``])) as Tables,
    now,
    server: () => {
      if (server === undefined) throw new TandemError('LIFECYCLE', 'the mysql store is not open; call open() first')
      return server
    },
    meet: async () => {
      server = serverOf((await read(SERVER_QUESTION, []))[0] ?? {})
    },
    read,
    run: (tx, sql, params) => driver.query(sql, params, tx),
    own: (work, options) => again(driver, () => driver.transaction(work, { isolation: 'read committed', ...options })),
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

/** SQL expression: a parameter that is a whole number. Some libraries send numbers as floating-point ones. */
export const WHOLE = 'CAST(? AS SIGNED)'

const EPOCH = "TIMESTAMP'1970-01-01 00:00:00'"

/** SQL expression: milliseconds since the epoch. */
export function ms(instant: string): string {
  return `(timestampdiff(MICROSECOND, ${EPOCH}, ${instant}) DIV 1000)`
}

/** SQL expression: the instant so many milliseconds (an expression) after another. */
export function plusMs(instant: string, milliseconds: string): string {
  return `(${instant} + INTERVAL ${milliseconds} * 1000 MICROSECOND)`
}

export function minusMs(instant: string, milliseconds: string): string {
  return `(${instant} - INTERVAL ${milliseconds} * 1000 MICROSECOND)`
}

/** SQL expression: the instant of a parameter in milliseconds since the epoch. */
export const INSTANT: string = plusMs(EPOCH, WHOLE)

/** SQL expression: a table of the values of a parameter that is a JSON list of whole numbers, with the column `value`. */
export const NUMBERS = "JSON_TABLE(?, '$[*]' COLUMNS (value BIGINT PATH '$')) AS"

/** SQL expression: what `key_hash` is for a parameter that is a key. */
export const KEY_HASH = 'crc32(CONVERT(? USING utf8mb4))'

/** `(?, ?), (?, ?)` for a multi-row INSERT, `?, ?` for a list. */
export function rowsOf(row: string, count: number): string {
  return Array<string>(count).fill(row).join(', ')
}

/** The same SELECT a number of times, each with its parameters, for one result. Older servers refuse brackets around one alone. */
export function unionOf(count: number, select: string): string {
  return count === 1 ? select : Array<string>(count).fill(`(${select})`).join(' UNION ALL ')
}

/** A text as UTF-8 can have it: without halves of characters. Messages of others may have some. */
export function clean(text: string): string {
  return text.toWellFormed()
}

export function cleanOrNull(text: string | undefined): string | null {
  return text === undefined ? null : clean(text)
}

/** Years 1000 to 9999: what the server can store. */
export function instantParam(milliseconds: number): number {
  return Math.min(253_402_300_799_999, Math.max(-30_610_224_000_000, Math.round(milliseconds)))
}

/** Characters of an id that an index can hold. Ours are UUIDs; other senders may have other ideas. */
const LONGEST_ID = 500

/** The id of a message as the tables know it: a very long one is known by its hash. */
export function idParam(id: string): string {
  const plain = clean(id)
  // Characters, of which one may be two of JavaScript's.
  return plain.length <= LONGEST_ID ? plain : `sha256:${createHash('sha256').update(plain).digest('hex')}`
}
