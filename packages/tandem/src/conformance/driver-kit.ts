import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { isTandemError, type ErrorCode } from '../core/errors.ts'
import type { Dialect, Driver, DriverCapabilities, Row, SqlValue } from '../spi/driver.ts'
import type { ConformanceCase } from './case.ts'

/** A driver to be examined, on a database that the case may write to. Not open yet. */
export interface DriverFixture<Tx> {
  readonly driver: Driver<Tx>
  /** A second driver on the same database with a connection of its own, as another process has. Undefined where that cannot be. */
  readonly sibling: Driver<Tx> | undefined
  /** A driver of the same library on another database. */
  readonly stranger: Driver<Tx>
  /** Removes what the fixture made. The drivers are closed by then. */
  dispose(): Promise<void>
}

export interface DriverConformanceOptions<Tx> {
  /** Names the driver in the areas of the cases. */
  readonly name: string
  readonly dialect: Dialect
  /** What the driver must say, and do, of itself. */
  readonly capabilities: DriverCapabilities
  /** Whether `make` gives siblings; without, the cases about other processes are left out. */
  readonly siblings: boolean
  /** Milliseconds after which a case that has not ended fails. Default 30,000. */
  readonly timeout?: number
  make(): Promise<DriverFixture<Tx>>
}

/** What a case works with: open drivers and an empty table `(id, n, s, f, b)`. */
export interface Bench<Tx> extends DriverFixture<Tx> {
  readonly table: string
  /** Inserts rows with these ids and `n = 0`. */
  insert(tx: Tx, ...ids: number[]): Promise<void>
  increment(tx: Tx, id: number): Promise<void>
  /** Statements are written with `?`. */
  query(sql: string, params?: readonly SqlValue[], tx?: Tx): Promise<readonly Row[]>
  /** Begins a transaction that stays open until its `end` is called, at the latest until the case is over. */
  holdOpen(driver: Driver<Tx>, work: (tx: Tx) => Promise<void>): Promise<Held<Tx>>
  /** The committed ids in order, as far as `driver` can see. */
  ids(driver?: Driver<Tx>): Promise<number[]>
}

interface Held<Tx> {
  readonly tx: Tx
  /** Lets it commit. */
  end(): Promise<void>
}

export type BenchCase<Tx> = (name: string, body: (bench: Bench<Tx>) => Promise<void>) => ConformanceCase

const TYPES: Readonly<Record<Dialect, { readonly text: string; readonly blob: string }>> = {
  postgres: { text: 'text', blob: 'bytea' },
  mysql: { text: 'longtext', blob: 'longblob' },
  sqlite: { text: 'text', blob: 'blob' },
}

/** `?` as the dialect writes its parameters. */
export function inDialect(dialect: Dialect, sql: string): string {
  let count = 0
  return dialect === 'postgres' ? sql.replaceAll('?', () => `$${++count}`) : sql
}

/** Makes cases of one area, each with drivers and a table of its own. */
export function benchCases<Tx>(options: DriverConformanceOptions<Tx>, part: string): BenchCase<Tx> {
  const area = `${options.name}: ${part}`
  return (name, body) => ({ area, name, run: () => within(options.timeout ?? 30_000, runOnBench(options, body), name) })
}

async function runOnBench<Tx>(
  options: DriverConformanceOptions<Tx>,
  body: (bench: Bench<Tx>) => Promise<void>,
): Promise<void> {
  const fixture = await options.make()
  const { driver, sibling, stranger } = fixture
  assert.equal(sibling !== undefined, options.siblings, 'make() gives a sibling exactly when `siblings` says so')
  const all = [driver, stranger, ...(sibling === undefined ? [] : [sibling])]
  const held: Held<Tx>[] = []
  try {
    for (const one of all) await one.open({ service: 'conformance' })
    await body({
      ...(await setTable(fixture)),
      holdOpen: async (of, work) => {
        const one = await holdOpen(of, work)
        held.push(one)
        return one
      },
    })
  } finally {
    // A case that failed half-way would otherwise hang in close.
    await Promise.allSettled(held.map((one) => one.end()))
    await Promise.all(all.map((one) => one.close()))
    await fixture.dispose()
  }
}

async function setTable<Tx>(fixture: DriverFixture<Tx>): Promise<Omit<Bench<Tx>, 'holdOpen'>> {
  const { driver } = fixture
  const table = `conformance_${randomBytes(6).toString('hex')}`
  const { text, blob } = TYPES[driver.dialect]
  const columns = `id integer primary key, n bigint, s ${text}, f double precision, b ${blob}`
  await driver.transaction((tx) => driver.script(`CREATE TABLE ${table} (${columns})`, tx))
  const query = async (sql: string, params: readonly SqlValue[] = [], tx?: Tx): Promise<readonly Row[]> =>
    (await driver.query(inDialect(driver.dialect, sql), params, tx)).rows
  return {
    ...fixture,
    table,
    query,
    insert: async (tx, ...ids) => {
      for (const id of ids) await query(`INSERT INTO ${table} (id, n) VALUES (?, 0)`, [id], tx)
    },
    increment: async (tx, id) => {
      await query(`UPDATE ${table} SET n = n + 1 WHERE id = ?`, [id], tx)
    },
    ids: async (of = driver) => {
      const { rows } = await of.query(`SELECT id FROM ${table} ORDER BY id`, [])
      return rows.map((row) => Number(row['id']))
    },
  }
}

/** Fails with this code, and with nothing else. */
export async function rejectsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
  expected: { readonly retryable?: boolean } = {},
): Promise<void> {
  const error = await promise.then(
    () => assert.fail(`resolved; expected ${code}`),
    (reason: unknown) => reason,
  )
  if (!isTandemError(error, code)) {
    throw new assert.AssertionError({
      message: `expected ${code}, got ${String(error)}`,
      actual: error,
      expected: code,
    })
  }
  if (expected.retryable !== undefined) assert.equal(error.retryable, expected.retryable, 'retryable')
}

/** A promise that the case resolves, to hold a transaction open for as long as it needs it. */
export interface Gate {
  readonly passed: Promise<void>
  open(): void
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { passed: promise, open: resolve }
}

async function holdOpen<Tx>(driver: Driver<Tx>, work: (tx: Tx) => Promise<void>): Promise<Held<Tx>> {
  const begun = Promise.withResolvers<Tx>()
  const hold = gate()
  const ended = driver.transaction(async (tx) => {
    await work(tx)
    begun.resolve(tx)
    await hold.passed
  })
  ended.catch(begun.reject)
  const tx = await begun.promise
  return {
    tx,
    end: () => {
      hold.open()
      return ended
    },
  }
}

/** Lets everything go on that can go on now: many turns of the event loop. */
export async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function within(ms: number, promise: Promise<void>, what: string): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`"${what}" has not ended after ${ms} ms`)), ms)
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
