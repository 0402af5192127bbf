// The suite of drivers must notice what it is there for: each driver here breaks one rule, and the case about it fails.
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { driverConformance } from '../../src/conformance/driver.ts'
import { nodeSqlite, type NodeSqliteTransaction as Tx } from '../../src/drivers/node-sqlite.ts'
import type { Driver, QueryResult, SqlValue } from '../../src/spi/driver.ts'
import { sqliteConformance } from './sqlite-fixture.ts'

/** What is different in the broken driver. `sound` is the driver that it is made of. */
type Break = (sound: Driver<Tx>) => Partial<Driver<Tx>>

/** A driver of node:sqlite with one thing broken. The methods keep `sound` as `this`, for it has private members. */
function broken(file: string, breaks: Break): Driver<Tx> {
  const sound = nodeSqlite(file, { onWarning: () => undefined })
  return {
    name: sound.name,
    dialect: sound.dialect,
    capabilities: sound.capabilities,
    open: (context) => sound.open(context),
    transaction: (work, options) => sound.transaction(work, options),
    query: (sql, params, tx) => sound.query(sql, params, tx),
    script: (sql, tx) => sound.script(sql, tx),
    inspect: (candidate) => sound.inspect(candidate),
    classify: (error) => sound.classify(error),
    close: () => sound.close(),
    ...breaks(sound),
  }
}

async function run(caseName: string, breaks: Break, options: { readonly concurrent?: boolean } = {}): Promise<void> {
  const conformance = sqliteConformance(
    {
      name: 'broken',
      connect: (file) => new DatabaseSync(file),
      driver: ({ file }) => broken(file, breaks),
    },
    'file',
  )
  const capabilities = { concurrentTransactions: options.concurrent ?? false }
  const cases = driverConformance({ ...conformance, capabilities, timeout: 1500 })
  const found = cases.filter(({ name }) => name === caseName)
  expect(found).not.toEqual([])
  for (const one of found) await one.run()
}

/** Reads in the transaction that is open, whoever asks. */
function inLastTransaction(sound: Driver<Tx>): Partial<Driver<Tx>> {
  let last: Tx | undefined
  return {
    transaction: (work, options) =>
      sound.transaction((tx) => {
        last = tx
        return work(tx)
      }, options),
    query: (sql, params, tx) =>
      sound.query(sql, params, tx ?? (sound.inspect(last) === 'open' && sql.startsWith('SELECT') ? last : undefined)),
  }
}

const editRows =
  (edit: (value: unknown) => unknown): Break =>
  (sound) => ({
    query: async (sql, params, tx) => {
      const { rows, changed } = await sound.query(sql, params, tx)
      const edited = rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [name, edit(value)])),
      )
      return { rows: edited, changed }
    },
  })

const editResult =
  (edit: (result: QueryResult) => QueryResult): Break =>
  (sound) => ({ query: async (sql, params, tx) => edit(await sound.query(sql, params, tx)) })

const blockLoop = (ms: number): void => {
  const until = performance.now() + ms
  while (performance.now() < until);
}

const BREAKS: readonly (readonly [what: string, caught: string, breaks: Break])[] = [
  [
    'commits although the work rejects',
    'rolls back when the work rejects, and passes the very error on',
    (sound) => ({
      transaction: async (work, options) => {
        const outcome = await sound.transaction(
          (tx) =>
            work(tx).then(
              (value) => ({ value }),
              (error: unknown) => ({ error }),
            ),
          options,
        )
        if ('value' in outcome) return outcome.value
        throw outcome.error
      },
    }),
  ],
  [
    'never commits',
    'commits what the work wrote and returns its result',
    (sound) => ({ query: (sql, params, tx) => sound.query(sql.replace(/ORDER BY id$/, 'WHERE 1 = 0'), params, tx) }),
  ],
  [
    'wraps the error of the work',
    'rolls back when the work throws at once',
    (sound) => ({
      transaction: (work, options) =>
        sound.transaction(work, options).catch((error: unknown) => {
          throw new Error('transaction failed', { cause: error })
        }),
    }),
  ],
  ['reads what is not committed', 'shows nothing uncommitted to a read without a transaction', inLastTransaction],
  [
    'reads on another connection in a transaction',
    'reads in a transaction what it wrote',
    (sound) => ({ query: (sql, params, tx) => sound.query(sql, params, sql.startsWith('SELECT') ? undefined : tx) }),
  ],
  [
    'runs statements of an ended transaction in one of their own',
    'takes no statement after commit',
    (sound) => ({
      query: (sql, params, tx) =>
        sound.inspect(tx) === 'ended'
          ? sound.transaction((own) => sound.query(sql, params, own))
          : sound.query(sql, params, tx),
    }),
  ],
  [
    'runs statements of an ended transaction in the one that is open',
    'takes no statement of work that outlived it, not even while the next one is open',
    (sound) => {
      let last: Tx | undefined
      return {
        transaction: (work, options) =>
          sound.transaction((tx) => {
            last = tx
            return work(tx)
          }, options),
        query: (sql, params, tx) => sound.query(sql, params, tx && last),
      }
    },
  ],
  [
    'takes a transaction of another database for its own',
    'is foreign to a driver of another database',
    (sound) => ({
      inspect: (candidate) => (sound.inspect(candidate) === 'foreign' ? 'ended' : sound.inspect(candidate)),
    }),
  ],
  ['takes anything for a transaction', 'is told apart from everything that is none', () => ({ inspect: () => 'open' })],
  [
    'does not know that a transaction has ended',
    'is ended after rollback',
    (sound) => ({ inspect: (candidate) => (sound.inspect(candidate) === 'foreign' ? 'foreign' : 'open') }),
  ],
  [
    'cuts off what follows a line break',
    'gives back text as it was written',
    editRows((v) => (typeof v === 'string' ? v.split('\n')[0] : v)),
  ],
  [
    'gives bytes as text',
    'gives back bytes as it was written',
    editRows((v) => (v instanceof Uint8Array ? Buffer.from(v).toString() : v)),
  ],
  [
    'gives 32-bit numbers',
    'gives back whole numbers as it was written',
    editRows((v) => (typeof v === 'number' ? v | 0 : v)),
  ],
  ['gives no null', 'gives back null as it was written', editRows((v) => v ?? '')],
  ['rounds', 'gives back fractions as it was written', editRows((v) => (typeof v === 'number' ? Math.round(v) : v))],
  [
    'writes the whole buffer instead of its part',
    'gives back a part of a larger buffer as it was written',
    (sound) => {
      const whole = (value: SqlValue): SqlValue => (value instanceof Uint8Array ? new Uint8Array(value.buffer) : value)
      return { query: (sql, params, tx) => sound.query(sql, params.map(whole), tx) }
    },
  ],
  ['counts nothing', 'counts the rows that it changed', editResult(({ rows }) => ({ rows, changed: 0 }))],
  [
    'counts what it read',
    'counts the rows that it changed',
    editResult(({ rows, changed }) => ({ rows, changed: changed + rows.length })),
  ],
  [
    'counts nothing for RETURNING',
    'gives rows and a count for RETURNING',
    editResult(({ rows, changed }) => ({ rows, changed: rows.length > 0 ? 0 : changed })),
  ],
  [
    'gives a row for a change',
    'gives rows for a SELECT and none for a change',
    editResult(({ rows, changed }) => ({ rows: changed > 0 ? [{ changed }] : rows, changed })),
  ],
  [
    'gives the statement that was prepared before',
    'takes more different statements than it may keep prepared',
    (sound) => {
      const kept = new Map<number, string>()
      return {
        query: (sql, params, tx) => {
          const slot = sql.length
          if (!kept.has(slot)) kept.set(slot, sql)
          return sound.query(sql.includes('AS round') ? (kept.get(slot) ?? sql) : sql, params, tx)
        },
      }
    },
  ],
  [
    'runs the first statement of a script only',
    'runs a script of several statements in the transaction',
    (sound) => ({
      script: (sql, tx) => sound.script(sql.includes('CREATE') ? sql : sql.slice(0, sql.lastIndexOf('INSERT')), tx),
    }),
  ],
  [
    'runs a script outside of the transaction',
    'takes no script after it has ended',
    (sound) => ({
      script: (sql, tx) =>
        sound.inspect(tx) === 'open' ? sound.script(sql, tx) : sound.transaction((own) => sound.script(sql, own)),
    }),
  ],
  [
    'makes a TandemError of every error',
    "passes on the library's own error for a statement that is at fault",
    (sound) => ({
      query: (sql, params, tx) =>
        sound.query(sql, params, tx).catch((error: unknown) => {
          throw Object.assign(new Error('wrapped', { cause: error }), { [Symbol.for('tandem.error')]: true })
        }),
    }),
  ],
  [
    'calls every error busy',
    'classifies what is no error of the database as other',
    () => ({ classify: () => 'busy' }),
  ],
  [
    'does not stop waiting',
    'gives up after lockTimeout with STORE_BUSY, and nothing is written',
    (sound) => ({ transaction: (work) => sound.transaction(work) }),
  ],
  [
    'does not wait',
    'goes on when the lock is given in time',
    (sound) => ({ transaction: (work, options) => sound.transaction(work, { ...options, lockTimeout: 0 }) }),
  ],
  [
    'blocks the event loop while it waits',
    'does not block the event loop while it waits',
    (sound) => ({
      transaction: (work, options) => {
        if (options?.lockTimeout === 400) setTimeout(() => blockLoop(300), 20)
        return sound.transaction(work, options)
      },
    }),
  ],
  [
    'has two transactions open at once',
    'has one transaction open at a time, in the order of asking',
    (sound) => {
      let tables = 0
      return {
        transaction: (work, options) =>
          tables++ === 0 ? sound.transaction(work, options) : work(undefined as unknown as Tx),
      }
    },
  ],
  [
    'begins a transaction inside of another one',
    'refuses a transaction inside the work of another one',
    (sound) => {
      let open: Tx | undefined
      return {
        transaction: (work, options) =>
          open === undefined
            ? sound.transaction((tx) => {
                open = tx
                return work(tx).finally(() => {
                  open = undefined
                })
              }, options)
            : work(open),
      }
    },
  ],
  [
    'loses updates',
    'loses no update of transactions that are asked for at once',
    (sound) => {
      let skipped = false
      return {
        query: async (sql, params, tx) => {
          if (skipped || !sql.startsWith('UPDATE')) return sound.query(sql, params, tx)
          skipped = true
          return { rows: [], changed: 1 }
        },
      }
    },
  ],
  [
    'goes on after close',
    'takes nothing after close, and says that waiting does not help',
    () => ({ close: () => Promise.resolve() }),
  ],
  [
    'does not wait with close',
    'waits with close for the transaction that is open, which commits',
    (sound) => ({
      close: () => {
        void sound.close()
        return Promise.resolve()
      },
    }),
  ],
  [
    'cannot be closed twice',
    'may be closed twice',
    (sound) => {
      let closed = 0
      return { close: () => (closed++ === 1 ? Promise.reject(new Error('closed already')) : sound.close()) }
    },
  ],
  [
    'cannot be opened twice',
    'may be opened again while it is open',
    (sound) => {
      let opened = false
      return {
        open: (context) => {
          if (opened) return Promise.reject(new Error('open already'))
          opened = true
          return sound.open(context)
        },
      }
    },
  ],
  [
    'says that it is concurrent',
    'says of itself what it is',
    () => ({ capabilities: { concurrentTransactions: true } }),
  ],
]

test.each(BREAKS)('a driver that %s fails: %s', async (_what, caught, breaks) => {
  await run(caught, () => ({}))
  await expect(run(caught, breaks)).rejects.toThrow()
})

test('a driver that only says it is concurrent fails: has two transactions open at the same time', async () => {
  const says = (): Partial<Driver<Tx>> => ({ capabilities: { concurrentTransactions: true } })
  await expect(run('has two transactions open at the same time', says, { concurrent: true })).rejects.toThrow()
})
