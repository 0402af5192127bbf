import { settleRetryPolicy, type RetryPolicy, type SettledRetryPolicy } from '../core/backoff.ts'
import { TandemError } from '../core/errors.ts'
import { checkName, checkNumber, checkOptions } from '../core/limits.ts'
import type { Draft, Message } from '../core/message.ts'

/** What a handler is given beside the payload. */
export interface HandlerContext<Tx, Payload = unknown> {
  /** The local transaction. What is written through it is committed with the inbox row and the messages sent, or not at all. */
  readonly tx: Tx
  readonly message: Message<Payload>
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Aborted when the handler's time is over or the service stops. Pass it to whatever can be cancelled. */
  readonly signal: AbortSignal
  /**
   * Sends messages in the same transaction, with this message as their cause. What is refused fails the attempt, also where nobody awaits
   * or catches it: a message must not be lost because an `await` was forgotten.
   */
  readonly send: (drafts: Draft | readonly Draft[]) => Promise<void>
}

export type Handler<Tx, Payload = unknown> = (payload: Payload, context: HandlerContext<Tx, Payload>) => unknown

export interface ConsumeOptions {
  /** The consumer group. Each group sees each message once. Default: the service's name. */
  readonly group?: string
  /** When a failed handling is tried again, and how often. */
  readonly retry?: RetryPolicy
  /** Milliseconds a handler may take before its transaction is rolled back and the attempt has failed. Default 30,000. */
  readonly timeout?: number
  /**
   * `false`: the handler runs outside of a transaction, and the inbox row and what it sent are committed after it. For handlers whose
   * effect is outside the database (e-mail, HTTP): it happens at least once; use the message id as an idempotency key. Default true.
   */
  readonly transaction?: boolean
  /** One for the whole group: messages of one key are handled in the order sent; a failed one holds back its key. Default false. */
  readonly ordered?: boolean
  /** One for the whole group: handlings at the same time in one process. Default 10, or 1 where the database has a single writer. */
  readonly concurrency?: number
  /**
   * One for the whole group: messages that are handled in one transaction, if so many are waiting. If one of them fails, the transaction
   * is rolled back and each is handled alone. Default 1.
   */
  readonly transactionSize?: number
  /**
   * One for the whole group: what to do with a message in its topics that no handler takes. `dead`: it becomes a dead letter.
   * `ignore`: it counts as handled. Default `dead`.
   */
  readonly unknownTypes?: 'dead' | 'ignore'
}

export interface HandlerSettings {
  readonly retry: SettledRetryPolicy
  readonly timeout: number
  readonly transaction: boolean
}

export interface GroupSettings {
  readonly ordered: boolean
  readonly concurrency: number
  readonly transactionSize: number
  readonly unknownTypes: 'dead' | 'ignore'
}

type GroupOptions = Pick<ConsumeOptions, keyof GroupSettings>

const OPTIONS = [
  'group',
  'retry',
  'timeout',
  'transaction',
  'ordered',
  'concurrency',
  'transactionSize',
  'unknownTypes',
]
const RETRY_OPTIONS = ['maxAttempts', 'delays', 'initial', 'factor', 'max', 'jitter', 'retryIf']
const GROUP_OPTIONS = ['ordered', 'concurrency', 'transactionSize', 'unknownTypes'] as const

/** Checks the options of one `consume` call. */
export function settleHandler(where: string, options: ConsumeOptions): HandlerSettings {
  checkOptions(where, options, OPTIONS)
  checkOptions(`${where}: retry`, options.retry, RETRY_OPTIONS)
  if (options.group !== undefined) checkName('consumer group', options.group)
  for (const name of ['transaction', 'ordered'] as const) {
    const value: unknown = options[name]
    if (value !== undefined && typeof value !== 'boolean') {
      throw new TandemError('CONFIG_INVALID', `${where}: ${name} must be true or false`)
    }
  }
  if (options.unknownTypes !== undefined && !['dead', 'ignore'].includes(options.unknownTypes)) {
    throw new TandemError('CONFIG_INVALID', `${where}: unknownTypes must be "dead" or "ignore"`)
  }
  checkNumber(`${where}: concurrency`, options.concurrency, { min: 1, max: 1000, integer: true, default: 1 })
  checkNumber(`${where}: transactionSize`, options.transactionSize, { min: 1, max: 1000, integer: true, default: 1 })
  return {
    retry: settleRetryPolicy(options.retry, where),
    timeout: checkNumber(`${where}: timeout`, options.timeout, { min: 1, max: 2 ** 31 - 1, default: 30_000 }),
    transaction: options.transaction ?? true,
  }
}

/** Joins what several `consume` calls of one group say about the group; they must not contradict each other. */
export function mergeGroupOptions(group: string, before: GroupOptions, options: ConsumeOptions): GroupOptions {
  const merged: Record<string, boolean | number | string | undefined> = { ...before }
  for (const name of GROUP_OPTIONS) {
    const value = options[name]
    if (value === undefined) continue
    if (merged[name] !== undefined && merged[name] !== value) {
      throw new TandemError(
        'CONFIG_INVALID',
        `consumer group ${group}: ${name} is ${String(merged[name])} in one consume() and ${String(value)} in another; ` +
          'it holds for the whole group, so say it once or use another group',
      )
    }
    merged[name] = value
  }
  return merged
}

export function settleGroup(options: GroupOptions, defaults: { readonly concurrency: number }): GroupSettings {
  return {
    ordered: options.ordered ?? false,
    concurrency: options.concurrency ?? defaults.concurrency,
    transactionSize: options.transactionSize ?? 1,
    unknownTypes: options.unknownTypes ?? 'dead',
  }
}
