import { crashPoint } from '../core/crash-points.ts'
import type { Draft } from '../core/message.ts'
import { toOutgoing } from '../engine/outgoing.ts'
import type { Runtime } from '../engine/runtime.ts'

/**
 * Writes messages into the outbox in the user's local transaction, with one statement. They are published if, and only if, that
 * transaction commits.
 *
 * @throws TandemError before anything is written, when a message or the transaction is not acceptable
 */
export async function send<Tx>(runtime: Runtime<Tx>, tx: Tx, drafts: Draft | readonly Draft[]): Promise<void> {
  const { store } = runtime
  store.checkTransaction(tx)
  const outgoing = await toOutgoing(drafts, runtime)
  if (outgoing.length === 0) return
  // Checking a payload may have taken a while.
  store.checkTransaction(tx)
  await store.outbox.insert(tx, outgoing)
  crashPoint('send.inserted')
}
