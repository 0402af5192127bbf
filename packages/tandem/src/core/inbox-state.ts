import type { SettledRetryPolicy } from './backoff.ts'
import { retryDelay } from './backoff.ts'
import type { Random } from './clock.ts'
import { isDoNotRetry, type ErrorCode, type TandemError } from './errors.ts'

/**
 * The state machine of a message in a consumer group, pure.
 *
 * (new) → handled | retrying | blocked | dead; retrying → handled | retrying | dead; blocked → retrying when the key is free;
 * dead → retrying by a replay | discarded by a person. `handled` and `discarded` are final.
 */
export type InboxState = 'handled' | 'retrying' | 'blocked' | 'dead' | 'discarded'

/** Why a message is dead. */
export type DeadReason =
  /** The last attempt that the policy allows has failed. */
  | 'attempts-exhausted'
  /** The handler threw `DoNotRetry`, or `retryIf` said no. */
  | 'not-retryable'
  /** The payload does not match the schema. */
  | 'payload-invalid'
  /** Not a CloudEvent, or not readable by the codec. */
  | 'undecodable'
  /** No handler of the group takes this type. */
  | 'type-unknown'

export type Verdict =
  | { readonly state: 'retrying'; readonly delay: number }
  | { readonly state: 'dead'; readonly reason: DeadReason }

/** What follows a message that nobody can read: no retry would help. */
export function afterUnreadable(error: TandemError): Verdict {
  return { state: 'dead', reason: unreadable[error.code] ?? 'undecodable' }
}

const unreadable: { readonly [Code in ErrorCode]?: DeadReason } = {
  PAYLOAD_INVALID: 'payload-invalid',
  PAYLOAD_UNDECODABLE: 'undecodable',
  TYPE_UNKNOWN: 'type-unknown',
}

/**
 * What follows a failed attempt.
 *
 * @param attempt the number of the attempt that failed, counted since the message arrived or was last replayed; 1 is the first
 */
export function afterFailure(error: unknown, attempt: number, policy: SettledRetryPolicy, random: Random): Verdict {
  const reason = reasonAgainstRetry(error, attempt, policy)
  return reason === undefined
    ? { state: 'retrying', delay: retryDelay(policy, attempt, random) }
    : { state: 'dead', reason }
}

function reasonAgainstRetry(error: unknown, attempt: number, policy: SettledRetryPolicy): DeadReason | undefined {
  if (isDoNotRetry(error)) return 'not-retryable'
  if (attempt >= policy.maxAttempts) return 'attempts-exhausted'
  return mayRetry(error, attempt, policy) ? undefined : 'not-retryable'
}

/** The user's answer; if that fails, the message is retried, which the number of attempts bounds. */
function mayRetry(error: unknown, attempt: number, policy: SettledRetryPolicy): boolean {
  try {
    return policy.retryIf(error, attempt)
  } catch {
    return true
  }
}
