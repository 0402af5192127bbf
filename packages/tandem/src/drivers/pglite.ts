/**
 * PostgreSQL inside the process, through the package `@electric-sql/pglite`.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { PgliteBinding, type PgliteDatabase, type PgliteOptions } from './postgres-pglite-binding.ts'

export type { PgliteDatabase, PgliteOptions, PgliteSession } from './postgres-pglite-binding.ts'

/**
 * An open transaction: what the callback of `db.transaction` is given. A handler gets one that refuses everything once it has ended, and
 * BEGIN, COMMIT, ROLLBACK and `rollback()` always.
 */
export type PgliteTransaction<D extends PgliteDatabase> = Parameters<D['transaction']>[0] extends (
  tx: infer Tx,
) => unknown
  ? Tx
  : never

/**
 * Runs Tandem on an instance of PGlite. It has one connection: a transaction waits for all others, of Tandem and of the user, and so does a
 * read; what would wait for the transaction in whose work it is called is refused.
 *
 * Nothing in a transaction of PGlite tells which database it is of. So `pglite` replaces `db.transaction` by a function that does the same and
 * remembers what it hands out: only transactions of this very instance, begun after this call, can be given to `send`.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function pglite<D extends PgliteDatabase>(db: D, options: PgliteOptions = {}): Driver<PgliteTransaction<D>> {
  if (!PgliteBinding.isDatabase(db)) {
    throw new TandemError('CONFIG_INVALID', 'pglite: pass an instance of PGlite, of the package @electric-sql/pglite')
  }
  return new PostgresDriver(new PgliteBinding(db, options)) as Driver<object> as Driver<PgliteTransaction<D>>
}
