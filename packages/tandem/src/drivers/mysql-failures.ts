import { errorText, isTandemError, TandemError, type ErrorCode } from '../core/errors.ts'
import type { FailureKind } from '../spi/driver.ts'

/** Of errors that have been through `toTandemError`. */
const KINDS: Partial<Record<ErrorCode, FailureKind>> = {
  STORE_BUSY: 'busy',
  STORE_FULL: 'full',
  STORE_UNAVAILABLE: 'unavailable',
  STORE_CONFLICT: 'conflict',
}

/** Numbers of the server. MySQL has those from 3000 on for itself, MariaDB those from 1900 to 1999 and from 4000 on with a few exceptions. */
const BY_NUMBER: Readonly<Record<number, FailureKind>> = {
  // ER_LOCK_WAIT_TIMEOUT, ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT (MariaDB), ER_QUERY_TIMEOUT, ER_LOCK_NOWAIT.
  1205: 'busy',
  1317: 'busy',
  1969: 'busy',
  3024: 'busy',
  3572: 'busy',
  // ER_DISK_FULL, ER_RECORD_FILE_FULL.
  1021: 'full',
  1114: 'full',
  // ER_LOCK_DEADLOCK, ER_CHECKREAD (MariaDB: the row has changed since the snapshot), XA's, ER_LOCK_TABLE_FULL.
  1213: 'conflict',
  1020: 'conflict',
  1613: 'conflict',
  1614: 'conflict',
  1206: 'conflict',
  // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: of group replication.
  3101: 'conflict',
  // Not writable: ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE, InnoDB's own.
  1290: 'unavailable',
  1792: 'unavailable',
  1836: 'unavailable',
  1874: 'unavailable',
  // ER_ERROR_DURING_COMMIT: what has become of it is not known. ER_ERROR_ON_WRITE, ER_ERROR_ON_READ, ER_GET_ERRNO.
  1180: 'unavailable',
  1024: 'unavailable',
  1026: 'unavailable',
  1030: 'unavailable',
  // Going down, out of memory, too many connections or connects.
  1053: 'unavailable',
  1037: 'unavailable',
  1041: 'unavailable',
  1040: 'unavailable',
  1129: 'unavailable',
  1203: 'unavailable',
  1226: 'unavailable',
  // The connection was cut: ER_NEW_ABORTING_CONNECTION, network errors, ER_CONNECTION_KILLED (MariaDB), ER_CLIENT_INTERACTION_TIMEOUT.
  1080: 'unavailable',
  1152: 'unavailable',
  1158: 'unavailable',
  1159: 'unavailable',
  1160: 'unavailable',
  1161: 'unavailable',
  1184: 'unavailable',
  1927: 'unavailable',
  4031: 'unavailable',
  // Galera and group replication: no part of the cluster that may work.
  1047: 'unavailable',
  3100: 'unavailable',
  // Not let in: no such database, wrong password, locked account.
  1044: 'unavailable',
  1045: 'unavailable',
  1049: 'unavailable',
  1698: 'unavailable',
  3118: 'unavailable',
  4151: 'unavailable',
}

/** Codes of Node (sockets) and of mysql2. */
const BY_CODE: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  ECONNABORTED: 'unavailable',
  EPIPE: 'unavailable',
  ETIMEDOUT: 'unavailable',
  EHOSTUNREACH: 'unavailable',
  ENETUNREACH: 'unavailable',
  ENOTFOUND: 'unavailable',
  EAI_AGAIN: 'unavailable',
  PROTOCOL_CONNECTION_LOST: 'unavailable',
  PROTOCOL_SEQUENCE_TIMEOUT: 'unavailable',
  PROTOCOL_UNEXPECTED_PACKET: 'unavailable',
  HANDSHAKE_NO_SSL_SUPPORT: 'unavailable',
}

/** What mysql2 says without a code. */
const NO_CONNECTION =
  /(?:^| - )(?:Can't add new command when connection is in closed state|Can't write in closed state|Pool is closed\.)$/
const POOL_EXHAUSTED = /(?:^| - )(?:No connections available\.|Queue limit reached\.)$/

/** Where an error has the one below it: most of them, TypeORM, Sequelize. */
interface Wrapping {
  readonly cause?: unknown
  readonly driverError?: unknown
  readonly original?: unknown
}

/** A chain of causes may be a ring. */
const DEEPEST = 8

export function classify(error: unknown): FailureKind {
  let current = error
  for (let depth = 0; depth < DEEPEST && typeof current === 'object' && current !== null; depth++) {
    const kind = classifyOne(current)
    if (kind !== 'other') return kind
    // Query builders wrap the error of the library below them.
    const { cause, driverError, original } = current as Wrapping
    current = cause ?? driverError ?? original
  }
  return 'other'
}

function classifyOne(error: object): FailureKind {
  if (isTandemError(error)) return KINDS[error.code] ?? 'other'
  const { errno, code, syscall, message } = error as Record<string, unknown>
  // Those of the operating system are negative.
  if (typeof errno === 'number' && errno > 0) {
    return errno === 1030 && NO_SPACE.test(String(message)) ? 'full' : (BY_NUMBER[errno] ?? 'other')
  }
  if (typeof code === 'string') {
    // The folder of a unix socket is there, the socket is not.
    if (code === 'ENOENT' && syscall === 'connect') return 'unavailable'
    return BY_CODE[code] ?? 'other'
  }
  if (!(error instanceof Error) || typeof message !== 'string') return 'other'
  if (POOL_EXHAUSTED.test(message)) return 'busy'
  return NO_CONNECTION.test(message) ? 'unavailable' : 'other'
}

/** ER_GET_ERRNO with ENOSPC in its text, of whatever language. */
const NO_SPACE = /\b28\b/

const READ_ONLY = new Set([1290, 1792, 1836, 1874])

/** Whether the server takes no writes, as one that has been replaced by another. The connections to it are of no use any more. */
export function isReadOnly(error: unknown): boolean {
  return READ_ONLY.has((error as { readonly errno?: number } | undefined)?.errno ?? 0)
}

/** Whether the server has answered, and goes on to. */
export function isAnswer(error: unknown): boolean {
  if (isTandemError(error)) return true
  const { errno, sqlState } = error as { errno?: unknown; sqlState?: unknown }
  const isOfServer = typeof errno === 'number' && errno > 0 && typeof sqlState === 'string'
  return isOfServer && (classify(error) !== 'unavailable' || isReadOnly(error))
}

/** Turns what `classify` names into a TandemError; leaves everything else as it is. `doing`: `a statement`, for example. */
export function toTandemError(error: unknown, doing: string): unknown {
  if (isTandemError(error)) return error
  const because = (): string => `${doing} failed: ${errorText(error)}`
  switch (classify(error)) {
    case 'busy':
      return new TandemError('STORE_BUSY', because(), { cause: error })
    case 'full':
      return new TandemError('STORE_FULL', `${because()}; make room on the disk of the database`, { cause: error })
    case 'unavailable':
      return new TandemError('STORE_UNAVAILABLE', because(), { cause: error })
    case 'conflict':
      return new TandemError('STORE_CONFLICT', `${because()}; run the transaction again`, { cause: error })
    case 'other':
      return error
  }
}
