import createKnex, { type Knex } from 'knex'
import { knex } from '../../src/drivers/knex.ts'
import type { Driver } from '../../src/spi/driver.ts'
import { timeoutOf, type Library, type Rows } from './library.ts'

type Levels = NonNullable<Knex.TransactionConfig['isolationLevel']>

export const knexLibrary: Library = {
  name: 'knex',
  endedError: /Transaction query already complete/,
  open: async (address, options = {}) => {
    const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
    const db = createKnex({
      client: 'pg',
      connection: { ...address, options: settings.join(' ') },
      pool: { min: 0, max: options.max ?? 5 },
      log: { warn: () => undefined },
    })
    const driver = knex(db, timeoutOf(options)) as Driver<object>
    try {
      await driver.open({ service: 'test' })
    } catch (error) {
      await db.destroy()
      throw error
    }
    return {
      driver,
      run: async (tx, text) => (await (tx as Knex.Transaction).raw<{ rows: Rows }>(text)).rows,
      begin: (how, work) => {
        const level = /ISOLATION LEVEL (.+)/.exec(how)?.[1]?.toLowerCase() as Levels | undefined
        return db.transaction((trx) => work(trx), level === undefined ? {} : { isolationLevel: level })
      },
      savepoint: (tx, work) => (tx as Knex.Transaction).transaction((inner) => work(inner)),
      end: async () => {
        await driver.close()
        await db.destroy()
      },
    }
  },
}
