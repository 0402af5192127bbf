/**
 * PostgreSQL through Prisma.
 *
 * @module
 */
import { TandemError } from '../core/errors.ts'
import type { Driver } from '../spi/driver.ts'
import { PostgresDriver } from './postgres-driver.ts'
import { isPrisma, isTransactionClient, providerOf } from './prisma-client.ts'
import { PrismaPostgresBinding, type PrismaOptions } from './prisma-postgres.ts'

export type { PrismaOptions } from './prisma-postgres.ts'

/** A client that Prisma has generated, also an extended one, as far as the driver uses it. */
export interface PrismaClient {
  $connect(): Promise<void>
  $queryRawUnsafe(sql: string, ...values: never[]): PromiseLike<unknown>
  $executeRawUnsafe(sql: string, ...values: never[]): PromiseLike<number>
  // Of two forms, the last of which takes a callback with the client of the transaction.
  $transaction(work: never, options?: never): unknown
}

/** An open transaction: what the callback of `prisma.$transaction` is given, or that of a nested one in it. */
export type PrismaTransaction<C extends PrismaClient> = Parameters<C['$transaction']>[0] extends (
  tx: infer Tx,
) => unknown
  ? Tx
  : never

/**
 * Runs Tandem on a generated client of Prisma for PostgreSQL, with any driver adapter whose interactive transactions are transactions.
 *
 * In `prisma.$transaction(work)` Prisma's own limits hold: by default it gives up after 2 seconds without a connection (`maxWait`), and rolls
 * back after 5 seconds (`timeout`). A handler's transaction has none but Tandem's. It begins with the isolation level that the client says, or
 * the database; it refuses everything once it has ended, and BEGIN, COMMIT and ROLLBACK always; a nested `$transaction` in it is a savepoint.
 * Before each commit Tandem asks PostgreSQL once whether it can commit, for Prisma does not tell when it could not.
 *
 * Tandem's statements go through `$queryRawUnsafe` and `$executeRawUnsafe`, so listeners of the event `query` see them with their parameters:
 * leave `params` out of what is logged. Where the client does not tell how many connections it has, or where they lead, that is not checked.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`
 */
export function prisma<C extends PrismaClient>(client: C, options: PrismaOptions = {}): Driver<PrismaTransaction<C>> {
  const given: unknown = client
  if (!isPrisma(given) || isTransactionClient(given)) {
    throw new TandemError('CONFIG_INVALID', 'prisma: pass the PrismaClient that Prisma has generated')
  }
  const provider = providerOf(given) ?? 'postgresql'
  if (provider !== 'postgresql') {
    throw new TandemError('CONFIG_INVALID', `prisma: a client for ${provider} is not supported; it takes postgresql`)
  }
  return new PostgresDriver(new PrismaPostgresBinding(given, options)) as Driver<object> as Driver<PrismaTransaction<C>>
}
