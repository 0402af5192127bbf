/**
 * Tandem's tables in a SQLite database, on any driver of that dialect.
 *
 * @module
 */
import { TandemError } from '../../core/errors.ts'
import { checkOptions } from '../../core/limits.ts'
import type { Driver, OpenContext } from '../../spi/driver.ts'
import type { Store } from '../../spi/store.ts'
import { checkTransaction } from '../shared/transactions.ts'
import { adminSteps } from './admin.ts'
import { createContext, FILE_PREFIX, SQLITE_CLOCK, type SqliteContext } from './context.ts'
import { halfSteps } from './half.ts'
import { inboxSteps } from './inbox.ts'
import { leaseSteps } from './leases.ts'
import { SHARDS } from './outbox-write.ts'
import { outboxSteps } from './outbox.ts'
import { schemaSteps } from './schema.ts'

export interface SqliteOptions {
  /** Make or upgrade the tables when the store opens. Default false: it is done with `tandem migrate`. */
  readonly migrate?: boolean
  /** Begins the names of all tables and indexes. Default `tandem_`. */
  readonly tablePrefix?: string
  /** For tests: a SQL expression for milliseconds since the epoch, in place of SQLite's clock. */
  readonly clock?: string
}

/**
 * The store on SQLite 3.42 or later.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 * @example createTandem({ service: 'order', store: sqlite(nodeSqlite('./order.db')), broker })
 */
export function sqlite<Tx>(driver: Driver<Tx>, options: SqliteOptions = {}): Store<Tx> {
  checkOptions('sqlite', options, ['migrate', 'tablePrefix', 'clock'])
  const { migrate = false, tablePrefix = FILE_PREFIX, clock = SQLITE_CLOCK } = options
  const dialect = (driver as Partial<Driver<Tx>> | undefined)?.dialect
  if (dialect !== 'sqlite') {
    throw new TandemError(
      'CONFIG_INVALID',
      `sqlite: the first argument must be a SQLite driver, for example nodeSqlite(file)${dialect === undefined ? '' : `, not one of ${dialect}`}`,
    )
  }
  if (typeof migrate !== 'boolean') throw new TandemError('CONFIG_INVALID', 'sqlite: migrate must be true or false')
  const context = createContext(driver, tablePrefix, clock)
  const schema = schemaSteps(context)
  const name = `sqlite on ${driver.name}`

  const open = async (where: OpenContext, mayMigrate: boolean): Promise<void> => {
    await driver.open(where)
    await checkVersion(context)
    if (migrate && mayMigrate) await schema.migrate()
    await schema.check()
  }
  let opening: Promise<void> | undefined

  return {
    name,
    dialect: 'sqlite',
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

    schema: { status: () => schema.status(), migrate: (how) => schema.migrate(how) },
    outbox: outboxSteps(context),
    half: halfSteps(context),
    inbox: inboxSteps(context),
    leases: leaseSteps(context),
    admin: adminSteps(context),
  }
}

async function checkVersion<Tx>({ read }: SqliteContext<Tx>): Promise<void> {
  const [row] = await read('SELECT sqlite_version() AS version', [])
  const version = String(row?.['version'])
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 3 || (major === 3 && minor >= 42)) return
  throw new TandemError('CONFIG_INVALID', `SQLite ${version} is too old: Tandem needs 3.42 or later`)
}
