import { crashPoint } from '../core/crash-points.ts'
import { isTandemError } from '../core/errors.ts'
import type { Draft } from '../core/message.ts'
import { toOutgoing } from '../engine/outgoing.ts'
import type { Runtime } from '../engine/runtime.ts'

/** So many messages are one statement in every store. */
const ONE_STATEMENT = 100

/**
 * Writes messages into the outbox in the user's local transaction, with one statement. They are published if, and only if, that
 * transaction commits.
 *
 * @param unanswered for a transaction that Tandem itself commits: takes the writing where the driver pipelines, so that it goes to the
 * database together with what comes next, and at last with the COMMIT
 * @throws TandemError before anything is written, when a message or the transaction is not acceptable
 */
export async function send<Tx>(
  runtime: Runtime<Tx>,
  tx: Tx,
  drafts: Draft | readonly Draft[],
  unanswered?: Promise<void>[],
): Promise<void> {
  const { store } = runtime
  store.checkTransaction(tx)
  const outgoing = await toOutgoing(drafts, runtime)
  if (outgoing.length === 0) return
  // Checking a payload may have taken a while.
  store.checkTransaction(tx)
  const writing = store.outbox.insert(tx, outgoing)
  if (unanswered !== undefined && store.capabilities.pipelining === true && outgoing.length <= ONE_STATEMENT) {
    // Whoever commits looks at it.
    writing.catch(() => undefined)
    unanswered.push(writing)
  } else {
    await writing
  }
  crashPoint('send.inserted')
}

/** What has made a transaction fail: a message that could not be written, if what is known says only that the transaction is over. */
export async function firstReason(error: unknown, unanswered: readonly Promise<void>[]): Promise<unknown> {
  const isConsequence = isTandemError(error) ? error.code === 'TRANSACTION_ENDED' : isAborted(error)
  if (!isConsequence) return error
  const failed = (await Promise.allSettled(unanswered)).find(({ status }) => status === 'rejected')
  return failed === undefined ? error : (failed as PromiseRejectedResult).reason
}

/** PostgreSQL's `in_failed_sql_transaction`. */
function isAborted(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === '25P02'
}
