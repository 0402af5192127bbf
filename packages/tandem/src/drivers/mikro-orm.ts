/**
 * PostgreSQL through MikroORM.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { isEntityManager } from './mikro-orm-manager.ts'
import { MikroOrmPostgresBinding, type MikroOrmOptions } from './mikro-orm-postgres.ts'
import { PostgresDriver } from './postgres-driver.ts'

export type { MikroOrmOptions } from './mikro-orm-postgres.ts'

/** An entity manager of MikroORM on a SQL database, as far as the driver uses it. */
export interface MikroOrmEntityManager {
  fork(): object
  flush(): Promise<void>
  getTransactionContext(): unknown
  getConnection(): object
  getPlatform(): object
}

/**
 * Runs Tandem on the entity manager (`orm.em`) of MikroORM 7 for PostgreSQL.
 *
 * A transaction is an entity manager in one: what the callback of `em.transactional` is given, or a fork on which the user has called `begin`.
 * A handler gets a fork of its own. What it has changed is flushed when it returns, before the commit; `send` writes at once, and it makes no
 * difference, for both are in the transaction. The fork refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always.
 *
 * Tandem's own statements go to the connection of the transaction, past MikroORM's logger.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function mikroOrm<E extends MikroOrmEntityManager>(em: E, options: MikroOrmOptions = {}): Driver<E> {
  const given: unknown = em
  if (!isEntityManager(given)) throw new TandemError('CONFIG_INVALID', 'mikroOrm: pass the entity manager, orm.em')
  const platform = em.getPlatform().constructor.name
  if (!platform.startsWith('PostgreSql')) {
    throw new TandemError('CONFIG_INVALID', `mikroOrm: ${platform} is not supported; it takes PostgreSQL`)
  }
  return new PostgresDriver(new MikroOrmPostgresBinding(given, options)) as Driver<object> as Driver<E>
}
