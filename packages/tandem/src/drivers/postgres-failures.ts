import { errorText, isTandemError, TandemError, type ErrorCode } from '../core/errors.ts'
import type { FailureKind } from '../spi/driver.ts'

/** Of errors that have been through `toTandemError`. */
const KINDS: Partial<Record<ErrorCode, FailureKind>> = {
  STORE_BUSY: 'busy',
  STORE_FULL: 'full',
  STORE_UNAVAILABLE: 'unavailable',
  STORE_CONFLICT: 'conflict',
}

/** Codes of PostgreSQL (five characters), of Node (sockets) and of the libraries. */
const BY_CODE: Readonly<Record<string, FailureKind>> = {
  // lock_not_available: by lock_timeout or NOWAIT. query_canceled: by statement_timeout, mostly while waiting for a lock.
  '55P03': 'busy',
  '57014': 'busy',
  '53100': 'full',
  // serialization_failure, deadlock_detected.
  '40001': 'conflict',
  '40P01': 'conflict',
  // statement_completion_unknown.
  '40003': 'unavailable',
  // read_only_sql_transaction: a standby, or a server that has become one.
  '25006': 'unavailable',
  // The server has closed the connection: idle_in_transaction_session_timeout, transaction_timeout.
  '25P03': 'unavailable',
  '25P04': 'unavailable',
  // out_of_memory, too_many_connections.
  '53200': 'unavailable',
  '53300': 'unavailable',
  // system_error, io_error, data_corrupted, index_corrupted.
  '58000': 'unavailable',
  '58030': 'unavailable',
  XX001: 'unavailable',
  XX002: 'unavailable',
  // Not let in: no such database, no such role, wrong password.
  '3D000': 'unavailable',
  '28000': 'unavailable',
  '28P01': 'unavailable',
  // invalid_sql_statement_name, duplicate_prepared_statement: not this connection's, so all others will fail as well.
  26000: 'unavailable',
  '42P05': 'unavailable',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  ECONNABORTED: 'unavailable',
  EPIPE: 'unavailable',
  ETIMEDOUT: 'unavailable',
  EHOSTUNREACH: 'unavailable',
  ENETUNREACH: 'unavailable',
  ENOTFOUND: 'unavailable',
  EAI_AGAIN: 'unavailable',
  // postgres.js.
  CONNECTION_CLOSED: 'unavailable',
  CONNECTION_DESTROYED: 'unavailable',
  CONNECTION_ENDED: 'unavailable',
  CONNECT_TIMEOUT: 'unavailable',
}

/** Classes of PostgreSQL's codes: connection exceptions; the operator's intervention, which 57014 above is not. */
const LOST = /^(?:08...|57P..)$/

/** What Prisma makes of the errors of sockets, which have no code of PostgreSQL. */
const PRISMA_KINDS: Readonly<Record<string, FailureKind>> = {
  DatabaseNotReachable: 'unavailable',
  ConnectionClosed: 'unavailable',
  SocketTimeout: 'unavailable',
}

/** What node-postgres says without a code; knex puts the statement before it. */
const NO_CONNECTION =
  /(?:^| - )(?:Connection terminated|Client has encountered a connection error|Client was closed|timeout expired$|Query read timeout$|Cannot use a pool after)/
const POOL_EXHAUSTED = /(?:^| - )timeout exceeded when trying to connect$/

const POOLED =
  'a pooler gives each transaction another connection of the server, where prepared statements of this one are not known: make the ' +
  'instance of postgres.js with prepare: false (with pg, leave out prepare: true), or set max_prepared_statements in ' +
  'PgBouncer 1.21 or later'

/** What to do, for failures that do not say it themselves. */
const ADVICE: Readonly<Record<string, string>> = {
  26000: POOLED,
  '42P05': POOLED,
  '25006':
    'the server is a standby, or default_transaction_read_only is on for it, for the database or for the role: ' +
    'connect to the primary, or find out who has switched writing off and why',
  '57014': 'statement_timeout ended it, or a person did',
}

/** Where an error has the one below it: most of them, TypeORM, Sequelize, Prisma. */
interface Wrapping {
  readonly cause?: unknown
  readonly driverError?: unknown
  readonly original?: unknown
  readonly meta?: { readonly driverAdapterError?: unknown } | null
}

/** A chain of causes may be a ring. */
const DEEPEST = 8

export function classify(error: unknown): FailureKind {
  for (const one of chainOf(error)) {
    const kind = classifyOne(one)
    if (kind !== 'other') return kind
  }
  return 'other'
}

/** An error and what has caused it: query builders wrap the error of the library below them, each in its own way. */
function* chainOf(error: unknown): Generator<object> {
  let current = error
  for (let depth = 0; depth < DEEPEST && typeof current === 'object' && current !== null; depth++) {
    yield current
    const { cause, driverError, original, meta } = current as Wrapping
    current = cause ?? driverError ?? original ?? meta?.driverAdapterError
  }
}

function adviceFor(error: unknown): string {
  for (const one of chainOf(error)) {
    const { code } = one as { code?: unknown }
    const advice = typeof code === 'string' ? ADVICE[code] : undefined
    if (advice !== undefined) return `; ${advice}`
  }
  return ''
}

function classifyOne(error: object): FailureKind {
  if (isTandemError(error)) return KINDS[error.code] ?? 'other'
  const { code, syscall, message, kind, originalCode } = error as Readonly<Record<string, unknown>>
  if (typeof kind === 'string') return PRISMA_KINDS[kind] ?? classifyCode(originalCode)
  if (typeof code === 'string') {
    // The folder of a unix socket is there, the socket is not.
    if (code === 'ENOENT' && syscall === 'connect') return 'unavailable'
    return classifyCode(code)
  }
  if (!(error instanceof Error) || typeof message !== 'string') return 'other'
  if (POOL_EXHAUSTED.test(message)) return 'busy'
  return NO_CONNECTION.test(message) ? 'unavailable' : 'other'
}

function classifyCode(code: unknown): FailureKind {
  if (typeof code !== 'string') return 'other'
  return BY_CODE[code] ?? (LOST.test(code) ? 'unavailable' : 'other')
}

/** Turns what `classify` names into a TandemError; leaves everything else as it is. `doing`: `a statement`, for example. */
export function toTandemError(error: unknown, doing: string): unknown {
  if (isTandemError(error)) return error
  const because = (): string => `${doing} failed: ${errorText(error)}${adviceFor(error)}`
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
