import { inspect } from 'node:util'

/**
 * The closed list of error codes. Every error that Tandem throws on purpose is a `TandemError` with one of them.
 *
 * `retryable` says whether the same call may succeed later without anybody changing anything.
 */
const retryableByCode = {
  /** A setting is missing, of the wrong kind or out of range. */
  CONFIG_INVALID: false,
  /** An option that nothing reads; usually a spelling mistake. */
  OPTION_UNKNOWN: false,
  /** A type, topic, service, group or header name breaks the name rule. */
  NAME_INVALID: false,
  /** The payload does not match the schema of its message type. */
  PAYLOAD_INVALID: false,
  /** The payload cannot be put on the wire: BigInt, cycle, Date, class instance, too deep. */
  PAYLOAD_UNSERIALIZABLE: false,
  /** What arrived cannot be read: not a CloudEvent, or not decodable by the codec of its type. */
  PAYLOAD_UNDECODABLE: false,
  /** The message is larger than the limit. */
  MESSAGE_TOO_LARGE: false,
  /** Header names, values, count or total size break the limits. */
  HEADER_INVALID: false,
  /** A message of a type that no handler of the group takes. */
  TYPE_UNKNOWN: false,
  /** What was passed is not a transaction of this store's driver, or is one of another database. */
  TRANSACTION_INVALID: false,
  /** The transaction had already been committed or rolled back. */
  TRANSACTION_ENDED: false,
  /** Two handlers (or two checks) for the same thing. */
  HANDLER_DUPLICATE: false,
  /** A handler ran longer than its time limit. */
  HANDLER_TIMEOUT: true,
  /** The process died while it handled the message, or before it could say so. */
  HANDLER_DIED: true,
  /** Commit after rollback, or rollback after commit, of a half message. */
  HALF_DECIDED: false,
  /** The local transaction came after its check had already answered `rollback`. */
  BARRIER_CLOSED: false,
  /** No such message, half message or dead letter. */
  NOT_FOUND: false,
  /** Somebody else changed it first. */
  CONFLICT: false,
  /** A lock was not given in time. */
  STORE_BUSY: true,
  /** The transaction lost against another one and was rolled back; the same transaction may succeed at once. */
  STORE_CONFLICT: true,
  /** The database has no room left. */
  STORE_FULL: true,
  /** The database does not answer. */
  STORE_UNAVAILABLE: true,
  /** Tandem's tables are missing, or older than this version needs. */
  SCHEMA_OUTDATED: false,
  /** Tandem's tables are of a later version that this one cannot work with. */
  SCHEMA_TOO_NEW: false,
  /** The lease that guarded this work belongs to another process now. */
  LEASE_LOST: true,
  /** The broker does not answer. */
  BROKER_UNAVAILABLE: true,
  /** The broker took the call but refuses the message for good. */
  BROKER_REFUSED: false,
  /** The broker took the call but cannot route the message yet. */
  BROKER_UNROUTABLE: true,
  /** The call does not fit the life cycle: started twice, used after `stop()`. */
  LIFECYCLE: false,
} as const

export type ErrorCode = keyof typeof retryableByCode

/** Every code, for documentation and for tests that compare it with the documentation. */
export const ERROR_CODES: readonly ErrorCode[] = Object.keys(retryableByCode) as ErrorCode[]

// A registered symbol, so that two copies of the package in one process recognise each other's errors.
const brand = Symbol.for('tandem.error')

/** The only error class that Tandem throws. Told apart by `code`, never by message text. */
export class TandemError extends Error {
  readonly code: ErrorCode
  /** Whether the same call may succeed later with nothing changed. */
  readonly retryable: boolean

  /**
   * @param message what happened, to what, and what to do
   * @param options.retryable overrides the default of the code
   */
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TandemError'
    Object.defineProperty(this, brand, { value: true })
    this.code = code
    this.retryable = options.retryable ?? retryableByCode[code]
  }
}

/** Whether `error` comes from Tandem (from any copy of the package) and, if given, has this code. */
export function isTandemError(error: unknown, code?: ErrorCode): error is TandemError {
  return (
    typeof error === 'object' &&
    error !== null &&
    (error as { [brand]?: unknown })[brand] === true &&
    (code === undefined || (error as TandemError).code === code)
  )
}

const doNotRetryBrand = Symbol.for('tandem.do-not-retry')

/**
 * Thrown by a handler to say that no retry can help: the message becomes a dead letter at once.
 *
 * @example throw new DoNotRetry('the account was closed', { cause: error })
 */
export class DoNotRetry extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DoNotRetry'
    Object.defineProperty(this, doNotRetryBrand, { value: true })
  }
}

/** Whether a handler's error asks for no further attempt. */
export function isDoNotRetry(error: unknown): boolean {
  return (
    typeof error === 'object' && error !== null && (error as { [doNotRetryBrand]?: unknown })[doNotRetryBrand] === true
  )
}

/** The text of any thrown value. Never throws, whatever a handler has thrown. */
export function errorText(error: unknown): string {
  try {
    if (isTandemError(error)) return `${error.code}: ${error.message}`
    if (error instanceof Error) return error.message === '' ? error.name : `${error.name}: ${error.message}`
    return typeof error === 'string' ? error : `thrown value: ${inspect(error, { depth: 1, breakLength: Infinity })}`
  } catch {
    return 'an error that cannot be shown'
  }
}
