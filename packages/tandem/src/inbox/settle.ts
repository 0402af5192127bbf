import { crashPoint } from '../core/crash-points.ts'
import { TandemError } from '../core/errors.ts'
import { afterFailure, afterUnreadable } from '../core/inbox-state.ts'
import { describeFailure } from './failure.ts'
import { isStoreFailure, tellDuplicate, tellFailure, tellHandled, type Group } from './group.ts'
import { handleOutside, HandlerFailure, handleTogether } from './handling.ts'
import type { Incoming, Readable, Unreadable } from './incoming.ts'

/**
 * Brings one message that was delivered to an end: handled, found to be a duplicate, set aside, or recorded as failed. The broker may be
 * acked after it.
 *
 * @throws the store's error, when nothing could be recorded; the message must then be kept
 */
export async function settleOne<Tx>(group: Group<Tx>, incoming: Incoming<Tx>): Promise<void> {
  if (incoming.kind === 'unreadable') return settleUnreadable(group, incoming)
  for (;;) {
    let outcome
    try {
      outcome = await handle(group, incoming)
    } catch (error) {
      return recordFailure(group, incoming, error)
    }
    if (outcome === 'new') {
      crashPoint('consume.committed')
      return tellHandled(group, incoming.record, 1)
    }
    if (outcome === 'duplicate') return tellDuplicate(group, incoming.record)
    if (outcome === 'set-aside' || (await block(group, incoming))) return
    // Its key is free again.
  }
}

/**
 * Handles several messages in one transaction.
 *
 * @returns those that are settled: all, or all but those whose key is blocked, or none because one failed
 * @throws the store's error
 */
export async function settleTogether<Tx>(
  group: Group<Tx>,
  messages: readonly Readable<Tx>[],
): Promise<readonly Readable<Tx>[]> {
  // By key, so that two transactions take the same rows in the same order; the sort keeps the order within a key.
  const sorted = messages.toSorted((a, b) => compare(a.record.key, b.record.key))
  let outcomes
  try {
    outcomes = await handleTogether(group, sorted)
  } catch (error) {
    if (!(error instanceof HandlerFailure) && isStoreFailure(error)) throw error
    return []
  }
  crashPoint('consume.committed')
  for (const [i, { record }] of sorted.entries()) {
    if (outcomes[i] === 'new') tellHandled(group, record, 1)
    else if (outcomes[i] === 'duplicate') tellDuplicate(group, record)
  }
  return sorted.filter((_, i) => outcomes[i] !== 'blocked')
}

/**
 * Records a message that was delivered again and again without an end, so that the retrier, which counts before it tries, goes on.
 *
 * @throws the store's error
 */
export async function settleSuspect<Tx>(group: Group<Tx>, incoming: Readable<Tx>, deliveries: number): Promise<void> {
  const { runtime, settings } = group
  const text = `delivered ${deliveries - 1} times to processes that died before they settled it`
  const attempt = describeFailure(new TandemError('HANDLER_DIED', text), incoming, runtime.process)
  const next = { state: 'retrying', delay: 0 } as const
  const { record } = incoming
  const recorded = await runtime.store.inbox.recordFailure(group.name, record, attempt, next, settings.ordered)
  crashPoint('consume.recorded')
  group.setAside()
  if (recorded === 'recorded') tellFailure(group, record, 1, attempt.error, next)
  else tellDuplicate(group, record)
}

async function handle<Tx>(
  group: Group<Tx>,
  incoming: Readable<Tx>,
): Promise<'new' | 'duplicate' | 'blocked' | 'set-aside'> {
  if (incoming.registration.settings.transaction) {
    const [outcome = 'new'] = await handleTogether(group, [incoming])
    return outcome
  }
  // It must not even begin while its key is blocked.
  if (group.settings.ordered && incoming.record.key !== undefined && (await block(group, incoming))) return 'set-aside'
  return handleOutside(group, incoming)
}

/** Sets a message aside behind the failed one of its key. False, with nothing done, if the key is free. */
async function block<Tx>(group: Group<Tx>, { record }: Readable<Tx>): Promise<boolean> {
  const parked = await group.runtime.store.inbox.block(group.name, record)
  if (parked === 'free') return false
  crashPoint('consume.recorded')
  if (parked === 'duplicate') tellDuplicate(group, record)
  else {
    const { id, type, key = '' } = record
    group.runtime.events.emit('message.blocked', () => ({ group: group.name, id, type, key }))
  }
  return true
}

async function recordFailure<Tx>(group: Group<Tx>, incoming: Readable<Tx>, thrown: unknown): Promise<void> {
  const { runtime, settings } = group
  if (!(thrown instanceof HandlerFailure) && isStoreFailure(thrown)) throw thrown
  // The service stops and has told the handler to give up: that is not the message's fault.
  if (group.cutting.aborted) throw thrown
  crashPoint('consume.failed')
  const error = thrown instanceof HandlerFailure ? thrown.cause : thrown
  const { record, registration } = incoming
  const next = afterFailure(error, 1, registration.settings.retry, runtime.random)
  const attempt = describeFailure(error, incoming, runtime.process)
  const recorded = await runtime.store.inbox.recordFailure(group.name, record, attempt, next, settings.ordered)
  crashPoint('consume.recorded')
  group.setAside()
  if (recorded === 'recorded') tellFailure(group, record, 1, attempt.error, next)
  else tellDuplicate(group, record)
}

async function settleUnreadable<Tx>(group: Group<Tx>, { record, error }: Unreadable): Promise<void> {
  const { runtime, settings } = group
  if (error.code === 'TYPE_UNKNOWN' && settings.unknownTypes === 'ignore') return
  const next = afterUnreadable(error)
  const attempt = describeFailure(error, undefined, runtime.process)
  const recorded = await runtime.store.inbox.recordFailure(group.name, record, attempt, next, settings.ordered)
  crashPoint('consume.recorded')
  if (recorded === 'recorded') tellFailure(group, record, 1, attempt.error, next)
  else tellDuplicate(group, record)
}

function compare(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0
  return (a ?? '') < (b ?? '') ? -1 : 1
}
