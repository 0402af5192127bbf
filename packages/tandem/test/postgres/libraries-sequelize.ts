import { QueryTypes, Sequelize, type Transaction } from 'sequelize'
import { isTandemError, TandemError } from '../../src/core/errors.ts'
import { sequelize } from '../../src/drivers/sequelize.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { timeoutOf, type Library, type LibraryOptions, type Rows } from './library.ts'

export function postgresSequelize({ user, ...address }: PostgresAddress, options: LibraryOptions = {}): Sequelize {
  const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
  return new Sequelize({
    dialect: 'postgres',
    ...address,
    username: user,
    logging: false,
    pool: { max: options.max ?? 5 },
    dialectOptions: { options: settings.join(' ') },
  })
}

/** Sequelize wraps whatever a statement fails with. */
function unwrap(error: unknown): never {
  const { original, message } = error as { original?: unknown; message: string }
  // It refuses this by itself.
  if (message.includes('you can no longer use it')) throw new TandemError('TRANSACTION_ENDED', message)
  throw isTandemError(original) ? original : error
}

export const sequelizeLibrary: Library = {
  name: 'sequelize',
  open: async (address, options = {}) => {
    const instance = postgresSequelize(address, options)
    const driver = sequelize(instance, timeoutOf(options)) as Driver<object>
    try {
      await driver.open({ service: 'test' })
    } catch (error) {
      await instance.close()
      throw error
    }
    return {
      driver,
      run: async (tx, text) => {
        const how = { transaction: tx as Transaction, type: QueryTypes.SELECT } as const
        return instance.query<Rows[number]>(text, how).catch(unwrap)
      },
      begin: (how, work) => {
        const isolationLevel = /ISOLATION LEVEL (.+)/.exec(how)?.[1] as Transaction.ISOLATION_LEVELS | undefined
        return isolationLevel === undefined
          ? instance.transaction(work)
          : instance.transaction({ isolationLevel }, work)
      },
      savepoint: (tx, work) => instance.transaction({ transaction: tx as Transaction }, work),
      end: async () => {
        await driver.close()
        await instance.close()
      },
    }
  },
}
