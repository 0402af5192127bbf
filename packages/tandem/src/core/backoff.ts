import type { Random } from './clock.ts'
import { TandemError } from './errors.ts'

/** When a failed handling is tried again. */
export interface RetryPolicy {
  /** Attempts in all, the first one included. Default 16, as RocketMQ. */
  readonly maxAttempts?: number
  /** Delays in milliseconds before attempt 2, 3, …; the last one repeats. Excludes the three below. */
  readonly delays?: readonly number[]
  /** First delay in milliseconds. Default 1,000. */
  readonly initial?: number
  /** Each delay is the one before times this. Default 2. */
  readonly factor?: number
  /** No delay is longer than this, in milliseconds. Default 3,600,000 (an hour). */
  readonly max?: number
  /** Each delay is drawn evenly from [delay × (1 − jitter), delay]. 0 to 1, default 0.5. */
  readonly jitter?: number
  /** Return false to make the message a dead letter at once. Default: every error is retried but `DoNotRetry`. */
  readonly retryIf?: (error: unknown, attempt: number) => boolean
}

export interface SettledRetryPolicy {
  readonly maxAttempts: number
  readonly delays: readonly number[] | undefined
  readonly initial: number
  readonly factor: number
  readonly max: number
  readonly jitter: number
  readonly retryIf: (error: unknown, attempt: number) => boolean
}

/** A delay must fit into an instant of the database. */
const LONGEST = Number.MAX_SAFE_INTEGER / 2

/** Milliseconds to wait after failed attempt number `attempt` (1 is the first). */
export function retryDelay(policy: SettledRetryPolicy, attempt: number, random: Random): number {
  const { delays, initial, factor, max, jitter } = policy
  const full = delays
    ? (delays[Math.min(attempt, delays.length) - 1] ?? 0)
    : // An initial delay of 0 stays 0, however large the factor has grown.
      Math.min(max, initial * Math.min(Number.MAX_VALUE, factor ** (attempt - 1)))
  return Math.round(full * (1 - jitter * random()))
}

/** Milliseconds before a loop looks again after `failures` failures in a row: 50, 100, … 2,000, with half jitter. */
export function loopBackoff(failures: number, random: Random): number {
  const full = Math.min(2000, 50 * 2 ** Math.min(failures - 1, 10))
  return Math.round(full * (1 - 0.5 * random()))
}

/** Fills in the defaults and refuses values that make no sense. */
export function settleRetryPolicy(policy: RetryPolicy | undefined, where: string): SettledRetryPolicy {
  const settled: SettledRetryPolicy = {
    maxAttempts: policy?.maxAttempts ?? 16,
    delays: policy?.delays,
    initial: policy?.initial ?? 1000,
    factor: policy?.factor ?? 2,
    max: policy?.max ?? 3_600_000,
    jitter: policy?.jitter ?? 0.5,
    retryIf: policy?.retryIf ?? (() => true),
  }
  const refuse = (what: string): never => {
    throw new TandemError('CONFIG_INVALID', `${where}: retry.${what}`)
  }
  const isNumber = (value: unknown, min: number, max: number): boolean =>
    typeof value === 'number' && value >= min && value <= max
  const { delays } = settled
  if (!Number.isInteger(settled.maxAttempts) || settled.maxAttempts < 1)
    refuse('maxAttempts must be a whole number from 1')
  if (delays && (policy?.initial ?? policy?.factor ?? policy?.max) !== undefined) {
    refuse('delays excludes initial, factor and max: give a list or a formula, not both')
  }
  if (delays && !(Array.isArray(delays) && delays.length > 0 && delays.every((delay) => isNumber(delay, 0, LONGEST)))) {
    refuse('delays must be a list of milliseconds, none negative, at least one')
  }
  if (!isNumber(settled.initial, 0, LONGEST)) refuse('initial must be milliseconds from 0')
  if (!isNumber(settled.factor, 1, Number.MAX_VALUE)) refuse('factor must be a number from 1')
  if (!isNumber(settled.max, 0, LONGEST)) refuse('max must be milliseconds from 0')
  if (!isNumber(settled.jitter, 0, 1)) refuse('jitter must be a number from 0 to 1')
  if (typeof settled.retryIf !== 'function') refuse('retryIf must be a function of the error and the attempt')
  return settled
}
