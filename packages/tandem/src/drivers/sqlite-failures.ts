import { errorText, isTandemError, TandemError, type ErrorCode } from '../core/errors.ts'
import type { FailureKind } from '../spi/driver.ts'

const NAMES: Readonly<Record<number, string>> = {
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  26: 'SQLITE_NOTADB',
}
const BUSY_SNAPSHOT = 517

/** The result code of SQLite as a name: `SQLITE_BUSY`, or finer. Empty for an error that is not SQLite's. */
function resultCode(error: unknown): string {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  // node:sqlite: `errcode` is the extended code, whose low byte is the primary one.
  if (typeof errcode === 'number') {
    return errcode === BUSY_SNAPSHOT ? 'SQLITE_BUSY_SNAPSHOT' : (NAMES[errcode & 0xff] ?? 'SQLITE_OTHER')
  }
  if (typeof code !== 'string') return ''
  return code.startsWith('SQLITE_') ? code : ''
}

/** What both libraries say when a connection has been closed; neither gives it a code of SQLite. */
const CLOSED = /: (?:database is not open|The database connection is not open|statement has been finalized)$/

/** Of errors that have been through `toTandemError`. */
const KINDS: Partial<Record<ErrorCode, FailureKind>> = {
  STORE_BUSY: 'busy',
  STORE_FULL: 'full',
  STORE_UNAVAILABLE: 'unavailable',
}

export function classify(error: unknown): FailureKind {
  if (typeof error !== 'object' || error === null) return 'other'
  if (isTandemError(error)) return KINDS[error.code] ?? 'other'
  const code = resultCode(error)
  // The snapshot that a transaction read from is out of date: it can never write, a new one can at once.
  if (code === 'SQLITE_BUSY_SNAPSHOT') return 'conflict'
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'busy'
  if (code.startsWith('SQLITE_FULL')) return 'full'
  if (/^SQLITE_(?:CANTOPEN|IOERR|READONLY|NOTADB|CORRUPT)/.test(code)) return 'unavailable'
  // By way of errorText, which survives errors of users that cannot even be read.
  return error instanceof Error && CLOSED.test(errorText(error)) ? 'unavailable' : 'other'
}

/** Turns what `classify` calls busy, full or unavailable into a TandemError; leaves everything else as it is. */
export function toTandemError(error: unknown, doing: string): unknown {
  if (isTandemError(error)) return error
  const because = (): string => `${doing} failed: ${errorText(error)}`
  switch (classify(error)) {
    case 'busy':
      return new TandemError('STORE_BUSY', because(), { cause: error })
    case 'full':
      return new TandemError('STORE_FULL', `${because()}; make room on the disk or raise max_page_count`, {
        cause: error,
      })
    case 'unavailable':
      return new TandemError('STORE_UNAVAILABLE', because(), { cause: error })
    case 'conflict':
    case 'other':
      return error
  }
}
