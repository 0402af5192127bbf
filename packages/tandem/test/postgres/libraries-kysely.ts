import { Kysely, PostgresDialect, sql, type IsolationLevel, type Transaction } from 'kysely'
import { Pool } from 'pg'
import { kysely } from '../../src/drivers/kysely.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { timeoutOf, type Library } from './library.ts'

export const kyselyLibrary: Library = {
  name: 'kysely',
  // Kysely does not say how many connections its pool has, whose it is, or that a connection was lost before anybody used it again.
  limits: { pool: true },
  open: async (address, options = {}) => {
    const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
    const pool = new Pool({ ...address, max: options.max ?? 5, options: settings.join(' ') })
    pool.on('error', () => undefined)
    pool.on('connect', (client) => client.on('error', () => undefined))
    const db = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }) })
    const driver = kysely(db, timeoutOf(options)) as Driver<object>
    try {
      await driver.open({ service: 'test' })
    } catch (error) {
      await db.destroy()
      throw error
    }
    return {
      driver,
      run: async (tx, text) => (await sql.raw<Record<string, unknown>>(text).execute(tx as Transaction<unknown>)).rows,
      begin: (how, work) => {
        const level = /ISOLATION LEVEL (.+)/.exec(how)?.[1]?.toLowerCase() as IsolationLevel | undefined
        const builder = level === undefined ? db.transaction() : db.transaction().setIsolationLevel(level)
        return builder.execute((trx) => work(trx))
      },
      end: async () => {
        await driver.close()
        await db.destroy()
      },
    }
  },
}
