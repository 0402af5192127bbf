import { crashPoint } from '../core/crash-points.ts'
import { errorText, TandemError } from '../core/errors.ts'
import { decide, stateAfter, type CheckSchedule, type HalfAnswer, type HalfDecision } from '../core/half-state.ts'
import type { Draft } from '../core/message.ts'
import { toOutgoing } from '../engine/outgoing.ts'
import type { Runtime } from '../engine/runtime.ts'
import type { HalfMessage } from '../spi/store.ts'

/** A message that is prepared and that no consumer sees until it is committed. */
export interface Half {
  readonly id: string
  /** The message will be delivered. May be called again; rejects with `HALF_DECIDED` if it was rolled back before. */
  commit(): Promise<void>
  /** The message will never be delivered. May be called again; rejects with `HALF_DECIDED` if it was committed before. */
  rollback(): Promise<void>
}

/** A half message as a check sees it. */
export interface HalfToCheck<Payload = unknown> {
  readonly id: string
  readonly type: string
  readonly key: string | undefined
  readonly payload: Payload
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds since it was prepared. */
  readonly age: number
  /** Checks that were answered `unknown` before. */
  readonly answered: number
}

export interface HalfParts<Tx> {
  readonly runtime: Runtime<Tx>
  readonly schedule: CheckSchedule
  /** Called after a commit has put the message into the outbox. */
  readonly committed: () => void
}

/** Writes a half message in a transaction of its own. */
export async function prepare<Tx>(parts: HalfParts<Tx>, draft: Draft, barrier: boolean): Promise<Half> {
  const { runtime, schedule } = parts
  const [message] = await toOutgoing(draft, runtime)
  if (message === undefined || Array.isArray(draft)) {
    throw new TandemError('CONFIG_INVALID', 'prepare: pass one message; a half message is one message')
  }
  await runtime.store.half.prepare(message, { barrier, firstCheckIn: schedule.transactionTimeOut })
  crashPoint('half.prepared')
  const { id, type } = message
  return {
    id,
    commit: () => resolve(parts, id, type, 'commit'),
    rollback: () => resolve(parts, id, type, 'rollback'),
  }
}

async function resolve<Tx>(parts: HalfParts<Tx>, id: string, type: string, decision: HalfDecision): Promise<void> {
  const { store, events } = parts.runtime
  const outcome = await store.half.resolve(id, decision)
  if (outcome === undefined) {
    throw new TandemError('NOT_FOUND', `there is no half message ${id}; it was decided long ago and has expired`)
  }
  if (!outcome.changed && decide(outcome.state, decision) === 'contradicted') {
    const [wish, past] = decision === 'commit' ? ['committed', 'rolled back'] : ['rolled back', 'committed']
    throw new TandemError(
      'HALF_DECIDED',
      `half message ${id} (${type}) cannot be ${wish}: it was ${past} before, by a check, a person or an earlier call. ` +
        'Make the local transaction agree with that',
    )
  }
  crashPoint('half.resolved')
  if (!outcome.changed) return
  if (decision === 'commit') parts.committed()
  events.emit('half.resolved', () => ({ id, type, state: stateAfter(decision) }))
}

/**
 * Prepares a half message, runs the local transaction with its barrier, and commits the half message. If anything dies on the way, the
 * check reads the barrier and ends it the way the local transaction ended.
 */
export async function transact<Tx, T>(parts: HalfParts<Tx>, draft: Draft, work: (tx: Tx) => Promise<T>): Promise<T> {
  const { store } = parts.runtime
  const half = await prepare(parts, draft, true)
  const results: T[] = []
  try {
    await store.transaction(async (tx) => {
      await store.half.insertBarrier(tx, half.id)
      results.push(await work(tx))
    })
  } catch (error) {
    // A commit whose answer was lost looks like a failure, too; the barrier knows better.
    if ((await closeFailed(parts, half)) !== 'commit' || results.length === 0) throw error
  }
  crashPoint('half.local-committed')
  // From here the barrier is the truth: if this fails, the check ends it, and the caller's transaction has committed all the same.
  await half.commit().catch((error: unknown) => {
    parts.runtime.events.emit('warning', () => ({
      text: `the half message of a committed local transaction is left to its check: ${errorText(error)}`,
    }))
  })
  return results[0] as T
}

/**
 * Asks the barrier how a local transaction has ended that has failed, and rolls its half message back if it says so. What it does not know
 * now, the check will learn.
 */
async function closeFailed<Tx>(parts: HalfParts<Tx>, half: Half): Promise<HalfAnswer> {
  try {
    const answer = await parts.runtime.store.half.closeBarrier(half.id, 1000)
    if (answer === 'rollback') await half.rollback()
    return answer
  } catch {
    // The store does not answer: the check comes back to it.
    return 'unknown'
  }
}

/** Decodes a half message for the user's check. */
export function toCheck(half: HalfMessage, decode: (body: Uint8Array) => unknown): HalfToCheck<never> {
  const { id, type, key, age, answered } = half
  const headers = Object.fromEntries(
    Object.entries(half.headers).filter(([name]) => !/^(ce-|tandem-|content-type$)/.test(name)),
  )
  return { id, type, key, age, answered, headers, payload: decode(half.body) as never }
}
