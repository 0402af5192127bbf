import { sql, type SQL } from 'drizzle-orm'
import { drizzle as overPg } from 'drizzle-orm/node-postgres'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import postgres from 'postgres'
import { isTandemError } from '../../src/core/errors.ts'
import { drizzle } from '../../src/drivers/drizzle.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { timeoutOf, type Library, type LibraryOptions, type Opened, type Rows } from './library.ts'

interface Session {
  execute(query: SQL): PromiseLike<unknown>
  transaction<T>(work: (tx: Session) => Promise<T>, options?: object): Promise<T>
}

/** `ISOLATION LEVEL SERIALIZABLE` as drizzle has it. */
function optionsOf(how: string): object | undefined {
  const level = /ISOLATION LEVEL (.+)/.exec(how)?.[1]
  return level === undefined ? undefined : { isolationLevel: level.toLowerCase() }
}

/** drizzle wraps whatever a statement fails with. */
function unwrap(error: unknown): never {
  const { cause } = error as { cause?: unknown }
  throw isTandemError(cause) ? cause : error
}

function opened(db: Session, options: LibraryOptions, end: () => Promise<void>): Opened {
  const driver = drizzle(db as never, timeoutOf(options)) as Driver<object>
  return {
    driver,
    run: async (tx, text) => {
      const result = await (tx as Session).execute(sql.raw(text)).then(undefined, unwrap)
      return (Array.isArray(result) ? result : (result as { rows: Rows }).rows) as Rows
    },
    begin: (how, work) => db.transaction((tx) => work(tx), optionsOf(how)),
    savepoint: (tx, work) => (tx as Session).transaction((inner) => work(inner)),
    end: async () => {
      await driver.close()
      await end()
    },
  }
}

export const drizzleOverPg: Library = {
  name: 'drizzle over pg',
  open: async (address, options = {}) => {
    const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
    const pool = new Pool({ ...address, max: options.max ?? 5, options: settings.join(' ') })
    const db = overPg({ client: pool, casing: 'snake_case' })
    const one = opened(db, options, () => pool.end())
    await one.driver.open({ service: 'test' })
    return one
  },
}

export const drizzleOverPostgresJs: Library = {
  name: 'drizzle over postgres.js',
  open: async (address, options = {}) => {
    const client = postgres({
      ...address,
      max: options.max ?? 5,
      onnotice: () => undefined,
      backoff: () => 0.01,
      connection: { ...options.settings },
    })
    const db = overPostgresJs({ client, casing: 'snake_case' })
    const one = opened(db, options, () => client.end({ timeout: 1 }))
    await one.driver.open({ service: 'test' })
    return one
  },
}
