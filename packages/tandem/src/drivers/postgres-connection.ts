import { TandemError } from '../core/errors.ts'

const LOOPBACK = /^(?:localhost$|127\.|::1$|\/|@)/

/**
 * Where a connection leads, as text that can be compared: the names that were given, with all names of this machine taken for one.
 * Undefined where it is not known.
 */
export function placeOf(
  host: string | undefined,
  port: number | undefined,
  database: string | undefined,
): string | undefined {
  if (database === undefined || host === undefined) return undefined
  return `${LOOPBACK.test(host) ? 'localhost' : host}:${port ?? 5432}/${database}`
}

/** @param size how many connections the pool may have */
export function noConnection(size: number | undefined, timeout: number): TandemError {
  const all = size === undefined ? '' : ` (it has ${size})`
  return new TandemError('STORE_BUSY', `no connection of the pool${all} was free for ${timeout} ms`)
}

/**
 * Waits for a library that does not give up waiting for a connection by itself.
 *
 * @param start calls `begun` when it has a connection, which throws when nobody waits any more
 * @throws TandemError `STORE_BUSY`
 */
export async function inTime<T>(
  start: (begun: () => void) => Promise<T>,
  timeout: number,
  size: number | undefined,
): Promise<T> {
  const expired = Promise.withResolvers<never>()
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    expired.reject(noConnection(size, timeout))
  }, timeout)
  const ended = start(() => {
    if (isLate) throw new Error('begun too late')
    clearTimeout(timer)
  })
  // When it is late, nobody else listens.
  ended.catch(() => undefined)
  try {
    return await Promise.race([ended, expired.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** For a transaction whose connection has gone although its work has not noticed. */
export function lostBeforeCommit(because: string, cause: unknown): TandemError {
  const text = `the connection was lost before the commit, and nothing was committed: ${because}`
  return new TandemError('STORE_UNAVAILABLE', text, { cause })
}

/** For a transaction that PostgreSQL has rolled back where it was asked to commit. */
export function rolledBackInstead(cause?: unknown): TandemError {
  return new TandemError(
    'TRANSACTION_ENDED',
    'PostgreSQL has rolled this transaction back because a statement in it failed; let the error of that statement ' +
      'through, or run the statement behind a savepoint',
    { cause },
  )
}

const COUNTED = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** The number of rows that a statement changed, from the first word of its command tag and the count in it. */
export function changedBy(command: string, count: number | null | undefined): number {
  return COUNTED.has(command) ? (count ?? 0) : 0
}
