import { crashPoint } from '../core/crash-points.ts'
import { TandemError } from '../core/errors.ts'
import { afterFailure, afterUnreadable } from '../core/inbox-state.ts'
import { processName } from '../engine/runtime.ts'
import type { RetryMessage } from '../spi/store.ts'
import { describeFailure } from './failure.ts'
import { isStoreFailure, tellFailure, tellHandled, type Group } from './group.ts'
import { HandlerFailure, handleRetry, RetrySuperseded } from './handling.ts'
import { readIncoming, type Incoming } from './incoming.ts'

/**
 * Handles a message that failed before, and records how it went. The attempt is recorded as begun first, so that it counts even if the
 * handler takes the process down.
 *
 * @throws the store's error; the attempt then counts as one whose process died
 */
export async function retryOne<Tx>(group: Group<Tx>, due: RetryMessage): Promise<void> {
  const { runtime } = group
  const { store } = runtime
  const version = await store.inbox.beginRetry(due, processName(runtime.process), group.lease)
  if (version === undefined) return
  crashPoint('retry.begun')
  const begun = { ...due, version }
  const attempt = due.attempts + 1
  const incoming = await readIncoming(due, group.registrations, group.name)
  let error
  try {
    error = await attemptOnce(group, begun, incoming)
  } catch (thrown) {
    if (thrown instanceof RetrySuperseded) return
    throw thrown
  }
  if (error === undefined) {
    crashPoint('retry.committed')
    group.setAside()
    return tellHandled(group, due, attempt)
  }
  crashPoint('retry.failed')
  const readable = incoming.kind === 'readable' ? incoming : undefined
  const next =
    incoming.kind === 'unreadable'
      ? afterUnreadable(incoming.error)
      : afterFailure(error.cause, due.attemptsInRound + 1, incoming.registration.settings.retry, runtime.random)
  const failure = describeFailure(error.cause, readable, runtime.process)
  if (await store.inbox.failRetry(begun, failure, next)) tellFailure(group, due, attempt, failure.error, next)
}

/** Returns the handler's failure; undefined if the message is handled. */
async function attemptOnce<Tx>(
  group: Group<Tx>,
  begun: RetryMessage,
  incoming: Incoming<Tx>,
): Promise<HandlerFailure | undefined> {
  if (incoming.kind === 'unreadable') return new HandlerFailure(incoming.error)
  const { maxAttempts } = incoming.registration.settings.retry
  if (begun.unfinished && begun.attemptsInRound >= maxAttempts) {
    const text = `the process died in attempt ${begun.attempts}, the last one allowed`
    return new HandlerFailure(new TandemError('HANDLER_DIED', text))
  }
  try {
    await handleRetry(group, begun, incoming)
    return undefined
  } catch (thrown) {
    if (thrown instanceof HandlerFailure && !group.cutting.aborted) return thrown
    if (thrown instanceof RetrySuperseded || isStoreFailure(thrown) || group.cutting.aborted) throw thrown
    return new HandlerFailure(thrown)
  }
}
