import type { SqlValue } from '../spi/driver.ts'
import { splitAtParameters } from './mysql-statements.ts'

/** How a session reads a backslash in a string: as the beginning of an escape, as itself, or in a way that is not known. */
export type Backslash = 'escape' | 'plain' | 'unknown'

const known = new Map<string, readonly string[]>()
/** Statements that differ in every call (lists of parameters) would fill the memory. */
const MOST_KNOWN = 1000

/**
 * The statement with its values in it. The library does that too, but by rules that the user can set, and without regard to the
 * session's `sql_mode`, on which it depends what a backslash means.
 */
export function bindValues(sql: string, params: readonly SqlValue[], backslash: Backslash): string {
  const parts = partsOf(sql)
  if (parts.length !== params.length + 1) {
    throw new TypeError(`${params.length} values for ${parts.length - 1} parameters: ${sql}`)
  }
  let bound = parts[0] ?? ''
  for (const [index, value] of params.entries()) bound += literalOf(value, backslash) + parts[index + 1]
  return bound
}

function partsOf(sql: string): readonly string[] {
  let parts = known.get(sql)
  if (parts === undefined) {
    if (known.size >= MOST_KNOWN) known.clear()
    parts = splitAtParameters(sql)
    known.set(sql, parts)
  }
  return parts
}

function literalOf(value: SqlValue, backslash: Backslash): string {
  if (typeof value === 'string') return textLiteral(value, backslash)
  if (typeof value === 'number') return numberLiteral(value)
  if (typeof value === 'bigint') return `${value}`
  return value === null ? 'NULL' : `x'${bytes(value).toString('hex')}'`
}

function textLiteral(value: string, backslash: Backslash): string {
  if (!value.includes('\\') || backslash === 'plain') return `'${value.replaceAll("'", "''")}'`
  if (backslash === 'escape') return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
  // Means the same in either case.
  return `_utf8mb4 x'${Buffer.from(value).toString('hex')}'`
}

/** With an exponent it is a double for the database too; without, it would be a decimal. */
function numberLiteral(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`${value} is no number that a database has`)
  const text = `${value}`
  return Number.isInteger(value) || text.includes('e') ? text : `${text}e0`
}

function bytes({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/** A column of a row, as mysql2 hands it to `typeCast`. */
export interface Field {
  readonly type: string
  readonly extendedFormat?: unknown
  string(encoding?: string): string | null
}

/**
 * How Tandem's own statements read their columns, whatever the user has set for his: numbers as numbers, but `bigint`, decimals, instants and
 * JSON as text, so that nothing is lost, bytes as a Buffer.
 */
export const PLAIN = {
  rowsAsArray: false,
  nestTables: false,
  dateStrings: true,
  supportBigNumbers: true,
  bigNumberStrings: true,
  typeCast: (field: Field, next: () => unknown): unknown => {
    if (field.type === 'NEWDECIMAL' || field.type === 'DECIMAL') return field.string('ascii')
    return field.type === 'JSON' || field.extendedFormat === 'json' ? field.string('utf8') : next()
  },
} as const
