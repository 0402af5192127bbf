import { DataSource, type EntityManager, type QueryFailedError } from 'typeorm'
import type { IsolationLevel } from 'typeorm/driver/types/IsolationLevel.js'
import { isTandemError, TandemError } from '../../src/core/errors.ts'
import { typeorm } from '../../src/drivers/typeorm.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { timeoutOf, type Library, type LibraryOptions, type Rows } from './library.ts'

export function typeormSource(address: PostgresAddress, options: LibraryOptions = {}): DataSource {
  const settings = Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`)
  const { user: username, ...rest } = address
  return new DataSource({
    type: 'postgres',
    ...rest,
    username,
    poolSize: options.max ?? 5,
    extra: { options: settings.join(' ') },
    installExtensions: false,
  })
}

/** TypeORM wraps whatever a statement fails with. */
function unwrap(error: unknown): never {
  const { driverError } = error as Partial<QueryFailedError>
  throw isTandemError(driverError) ? driverError : error
}

export const typeormLibrary: Library = {
  name: 'typeorm',
  open: async (address, options = {}) => {
    const source = typeormSource(address, options)
    const driver = typeorm(source, timeoutOf(options)) as Driver<object>
    await source.initialize().catch((error: unknown) => {
      throw driver.classify(error) === 'unavailable' ? new TandemError('STORE_UNAVAILABLE', String(error)) : error
    })
    await driver.open({ service: 'test' })
    return {
      driver,
      run: async (tx, text) => {
        const rows: unknown = await (tx as EntityManager).query(text).catch(unwrap)
        return rows as Rows
      },
      begin: (how, work) => {
        const level = /ISOLATION LEVEL (.+)/.exec(how)?.[1] as IsolationLevel | undefined
        return level === undefined ? source.transaction(work) : source.transaction(level, work)
      },
      end: async () => {
        await driver.close()
        await source.destroy()
      },
    }
  },
}
