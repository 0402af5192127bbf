import { Sequelize, type Transaction } from 'sequelize'
import { isTandemError, TandemError } from '../../src/core/errors.ts'
import { sequelize } from '../../src/drivers/sequelize.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { settingsOf, timeoutOf, type Library, type LibraryOptions } from './library.ts'

export function mariadbSequelize(address: MariadbAddress, options: LibraryOptions = {}): Sequelize {
  const { user, password, socketPath, ...rest } = address as MariadbAddress & Record<string, string | undefined>
  return new Sequelize({
    dialect: 'mysql',
    ...(rest as object),
    username: user,
    ...(password === undefined ? {} : { password }),
    logging: false,
    pool: { max: options.max ?? 5 },
    dialectOptions: socketPath === undefined ? {} : { socketPath },
    hooks: {
      afterConnect: (connection) => {
        for (const sql of settingsOf(options)) (connection as { query(text: string): void }).query(sql)
      },
    },
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
    const instance = mariadbSequelize(address, options)
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
        const [rows] = await instance.query(text, { transaction: tx as Transaction }).catch(unwrap)
        return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
      },
      begin: (isolation, work) => {
        const isolationLevel = isolation as Transaction.ISOLATION_LEVELS
        return isolation === '' ? instance.transaction(work) : instance.transaction({ isolationLevel }, work)
      },
      end: async () => {
        await driver.close()
        await instance.close()
      },
    }
  },
}
