import { TandemError } from '../core/errors.ts'
import { lostBeforeCommit } from './postgres-connection.ts'
import { classify } from './postgres-failures.ts'
import type { Guard } from './postgres-transaction.ts'
import { contextOf, type Connection, type EntityManager, type Result } from './mikro-orm-manager.ts'

/** Sees every statement of one transaction, those of MikroORM itself among them. */
export interface Watch {
  guard: Guard | undefined
  /** The work has ended: what comes now is MikroORM's own, up to the commit. */
  isEnding: boolean
  remove(): void
}

/** Kysely gives the same connection to whoever asks in the transaction, and to its own COMMIT. */
export async function watch(em: EntityManager): Promise<Watch> {
  const context = contextOf(em)
  if (context === undefined) throw new TandemError('TRANSACTION_INVALID', 'mikro-orm: transactions are switched off')
  const connection = await context.getExecutor().provideConnection((one) => Promise.resolve(one))
  const executeQuery: Connection['executeQuery'] = connection.executeQuery
  const state: Watch = {
    guard: undefined,
    isEnding: false,
    remove: () => {
      connection.executeQuery = executeQuery
    },
  }
  connection.executeQuery = async (query, ...rest) => {
    if (!state.isEnding) state.guard?.checkStatement(query.sql)
    if (state.isEnding && query.sql === 'commit')
      return commit(() => executeQuery.call(connection, asked(query), ...rest))
    const result = executeQuery.call(connection, query, ...rest)
    return state.isEnding && query.sql === 'rollback' ? result.catch(lost) : result
  }
  return state
}

/** Where ROLLBACK fails, Kysely 0.29.6 would never give the connection back; a lost one is rolled back, and the pool sees that it is lost. */
function lost(error: unknown): Result {
  if (classify(error) !== 'unavailable') throw error
  return { rows: [] }
}

/** In one with the commit, and so without a round trip: it fails where PostgreSQL would answer COMMIT by ROLLBACK. */
function asked<Q extends { readonly sql: string }>(query: Q): Q {
  return { ...query, sql: 'select 1; commit' }
}

async function commit(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run()
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message: string }
    // pg's words for a client that is known to be lost: it has sent nothing.
    if (message.endsWith('is not queryable')) throw lostBeforeCommit(message, error)
    if (code !== '25P02') throw error
    throw new TandemError(
      'TRANSACTION_ENDED',
      'PostgreSQL has rolled this transaction back because a statement in it failed; let the error of that statement ' +
        'through, or run the statement in a nested transaction',
      { cause: error },
    )
  }
}
