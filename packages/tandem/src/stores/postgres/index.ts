/**
 * Tandem's tables in a PostgreSQL database, on any driver of that dialect.
 *
 * @module
 */
import { TandemError } from '../../core/errors.ts'
import { checkOptions } from '../../core/limits.ts'
import type { Driver, OpenContext } from '../../spi/driver.ts'
import type { Store } from '../../spi/store.ts'
import { checkTransaction } from '../shared/transactions.ts'
import { adminSteps } from './admin.ts'
import { createContext, POSTGRES_CLOCK } from './context.ts'
import { halfSteps } from './half.ts'
import { inboxSteps } from './inbox.ts'
import { leaseSteps } from './leases.ts'
import { SHARDS } from './outbox-write.ts'
import { outboxSteps } from './outbox.ts'
import { schemaSteps } from './schema.ts'
import { checkServer } from './server.ts'

export interface PostgresOptions {
  /** The schema that Tandem's tables are in; best one of their own. Services that share a database have one each. Default `tandem`. */
  readonly schema?: string
  /** Make or upgrade the tables when the store opens. Default false: it is done with `tandem migrate`. */
  readonly migrate?: boolean
  /** For tests: a SQL expression for the instant (`timestamptz`, whole milliseconds), in place of PostgreSQL's clock. */
  readonly clock?: string
}

/**
 * The store on PostgreSQL 13 or later.
 *
 * It keeps nothing in a connection, so that a pooler that shares connections between transactions may stand in between. Its own
 * transactions are READ COMMITTED; a handler's have the level that the database has as its default.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 * @example createTandem({ service: 'order', store: postgres(pg(pool)), broker })
 */
export function postgres<Tx>(driver: Driver<Tx>, options: PostgresOptions = {}): Store<Tx> {
  checkOptions('postgres', options, ['schema', 'migrate', 'clock'])
  const { schema: schemaName = 'tandem', migrate = false, clock = POSTGRES_CLOCK } = options
  const dialect = (driver as Partial<Driver<Tx>> | undefined)?.dialect
  if (dialect !== 'postgres') {
    throw new TandemError(
      'CONFIG_INVALID',
      `postgres: the first argument must be a PostgreSQL driver, for example pg(pool)${dialect === undefined ? '' : `, not one of ${dialect}`}`,
    )
  }
  if (typeof migrate !== 'boolean') throw new TandemError('CONFIG_INVALID', 'postgres: migrate must be true or false')
  const context = createContext(driver, schemaName, clock)
  const schema = schemaSteps(context)
  const name = `postgres on ${driver.name}`

  const open = async (where: OpenContext, mayMigrate: boolean): Promise<void> => {
    await driver.open(where)
    await checkServer(context)
    if (migrate && mayMigrate) await schema.migrate()
    await schema.check()
  }
  let opening: Promise<void> | undefined

  return {
    name,
    dialect: 'postgres',
    capabilities: { ...driver.capabilities, shards: SHARDS },

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
    warnings: () => driver.warnings?.() ?? [],

    schema: { status: () => schema.status(), migrate: (how) => schema.migrate(how) },
    outbox: outboxSteps(context),
    half: halfSteps(context),
    inbox: inboxSteps(context),
    leases: leaseSteps(context),
    admin: adminSteps(context),
  }
}
