import { EntitySchema, MikroORM, type EntityManager, type IsolationLevel } from '@mikro-orm/postgresql'
import { TandemError } from '../../src/core/errors.ts'
import { mikroOrm } from '../../src/drivers/mikro-orm.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { timeoutOf, type Library, type LibraryOptions, type Rows } from './library.ts'

export const Orders = new EntitySchema<{ id: number; sku: string }>({
  name: 'orders',
  properties: { id: { type: 'number', primary: true }, sku: { type: 'string' } },
})

export function postgresMikroOrm(
  { database: dbName, ...address }: PostgresAddress,
  options: LibraryOptions = {},
): MikroORM {
  const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
  return new MikroORM({
    ...address,
    dbName,
    entities: [Orders],
    ensureDatabase: false,
    pool: { max: options.max ?? 5 },
    driverOptions: { options: settings.join(' ') },
    logger: () => undefined,
  })
}

/** MikroORM makes an error of its own of whatever a statement fails with, and copies what is in it. */
function unwrap(error: unknown): never {
  const { code, message } = error as { code?: unknown; message: string }
  // Kysely refuses this by itself.
  if (/is already (?:committed|rolled back)/.test(message)) throw new TandemError('TRANSACTION_ENDED', message)
  throw code === 'TRANSACTION_ENDED' || code === 'TRANSACTION_INVALID' ? new TandemError(code, message) : error
}

export const mikroOrmLibrary: Library = {
  name: 'mikro-orm',
  limits: { reads: true },
  open: async (address, options = {}) => {
    const orm = postgresMikroOrm(address, options)
    const driver = mikroOrm(orm.em, timeoutOf(options)) as Driver<object>
    try {
      await driver.open({ service: 'test' })
    } catch (error) {
      await orm.close()
      throw error
    }
    return {
      driver,
      run: async (tx, text) => (await (tx as EntityManager).execute(text).catch(unwrap)) as Rows,
      begin: (how, work) => {
        const isolationLevel = /ISOLATION LEVEL (.+)/.exec(how)?.[1]?.toLowerCase() as IsolationLevel | undefined
        return orm.em.fork().transactional((em) => work(em), isolationLevel === undefined ? {} : { isolationLevel })
      },
      end: async () => {
        await driver.close()
        await orm.close()
      },
    }
  },
}
