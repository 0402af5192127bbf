import type { Pool } from 'mysql2'
import { DataSource, type EntityManager, type QueryFailedError } from 'typeorm'
import type { IsolationLevel } from 'typeorm/driver/types/IsolationLevel.js'
import { isTandemError, TandemError } from '../../src/core/errors.ts'
import { typeorm } from '../../src/drivers/typeorm.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { MariadbAddress } from '../support/mariadb-server.ts'
import { settingsOf, timeoutOf, type Library, type LibraryOptions } from './library.ts'

export function mariadbSource(address: MariadbAddress, options: LibraryOptions = {}): DataSource {
  const { user, ...rest } = address as MariadbAddress & { user: string }
  return new DataSource({ type: 'mariadb', ...rest, username: user, poolSize: options.max ?? 5 })
}

/** TypeORM wraps whatever a statement fails with. */
function unwrap(error: unknown): never {
  const { driverError } = error as Partial<QueryFailedError>
  throw isTandemError(driverError) ? driverError : error
}

export const typeormLibrary: Library = {
  name: 'typeorm',
  open: async (address, options = {}) => {
    const source = mariadbSource(address, options)
    const driver = typeorm(source, timeoutOf(options)) as Driver<object>
    await source.initialize().catch((error: unknown) => {
      throw driver.classify(error) === 'unavailable' ? new TandemError('STORE_UNAVAILABLE', String(error)) : error
    })
    const { pool } = source.driver as unknown as { pool: Pool }
    // It has one already.
    for (const sql of settingsOf(options)) await pool.promise().query(sql)
    pool.on('connection', (connection) => {
      for (const sql of settingsOf(options)) connection.query(sql)
    })
    await driver.open({ service: 'test' })
    return {
      driver,
      run: async (tx, text) => {
        const rows: unknown = await (tx as EntityManager).query(text).catch(unwrap)
        return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
      },
      begin: (isolation, work) =>
        isolation === '' ? source.transaction(work) : source.transaction(isolation as IsolationLevel, work),
      end: async () => {
        await driver.close()
        await source.destroy()
      },
    }
  },
}
