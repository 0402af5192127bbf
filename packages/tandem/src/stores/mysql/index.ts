/**
 * Tandem's tables in a MySQL or MariaDB database, on any driver of that dialect.
 *
 * @module
 */
import { TandemError } from '../../core/errors.ts'
import { checkOptions } from '../../core/limits.ts'
import type { Driver, OpenContext } from '../../spi/driver.ts'
import type { Store } from '../../spi/store.ts'
import { checkTransaction } from '../shared/transactions.ts'
import { adminSteps } from './admin.ts'
import { createContext, FILE_PREFIX, MYSQL_CLOCK } from './context.ts'
import { halfSteps } from './half.ts'
import { inboxSteps } from './inbox.ts'
import { leaseSteps } from './leases.ts'
import { SHARDS } from './outbox-write.ts'
import { outboxSteps } from './outbox.ts'
import { schemaSteps } from './schema.ts'

export interface MysqlOptions {
  /** Begins the names of all tables. Services that share a database have one each. Default `tandem_`. */
  readonly tablePrefix?: string
  /** Make or upgrade the tables when the store opens. Default false: it is done with `tandem migrate`. */
  readonly migrate?: boolean
  /** For tests: a SQL expression for the instant (`DATETIME(3)`, in UTC), in place of the server's clock. */
  readonly clock?: string
}

/**
 * The store on MySQL 8.0.17 or MariaDB 10.6, or later.
 *
 * It keeps nothing in a connection. Its own transactions are READ COMMITTED; a handler's have the level that the connections have.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 * @example createTandem({ service: 'order', store: mysql(mysql2(pool)), broker })
 */
export function mysql<Tx>(driver: Driver<Tx>, options: MysqlOptions = {}): Store<Tx> {
  checkOptions('mysql', options, ['tablePrefix', 'migrate', 'clock'])
  const { tablePrefix = FILE_PREFIX, migrate = false, clock = MYSQL_CLOCK } = options
  const dialect = (driver as Partial<Driver<Tx>> | undefined)?.dialect
  if (dialect !== 'mysql') {
    throw new TandemError(
      'CONFIG_INVALID',
      `mysql: the first argument must be a MySQL driver, for example mysql2(pool)${dialect === undefined ? '' : `, not one of ${dialect}`}`,
    )
  }
  if (typeof migrate !== 'boolean') throw new TandemError('CONFIG_INVALID', 'mysql: migrate must be true or false')
  const context = createContext(driver, tablePrefix, clock)
  const schema = schemaSteps(context)
  const name = `mysql on ${driver.name}`

  const open = async (where: OpenContext, mayMigrate: boolean): Promise<void> => {
    await driver.open(where)
    await context.meet()
    if (migrate && mayMigrate) await schema.migrate()
    await schema.check()
  }
  let opening: Promise<void> | undefined

  return {
    name,
    dialect: 'mysql',
    capabilities: { concurrentTransactions: driver.capabilities.concurrentTransactions, shards: SHARDS },

    open({ migrate: mayMigrate = true, ...where }) {
      opening ??= open(where, mayMigrate).catch((error: unknown) => {
        opening = undefined
        throw error
      })
      return opening
    },
    close: () => driver.close(),
    transaction: (work, transactionOptions) => driver.transaction(work, transactionOptions),
    checkTransaction: (candidate) => checkTransaction(driver, name, candidate),
    classify: (error) => driver.classify(error),

    schema: { status: () => schema.status(), migrate: (which) => schema.migrate(which) },
    outbox: outboxSteps(context),
    half: halfSteps(context),
    inbox: inboxSteps(context),
    leases: leaseSteps(context),
    admin: adminSteps(context),
  }
}
