const BOOL = 16
const BYTEA = 17
const INT2 = 21
const INT4 = 23
const INT8 = 20
const FLOAT4 = 700
const FLOAT8 = 701

/** Turns what the server sent into a value: text in text format, bytes in binary format. */
type Parser = (value: never) => unknown
type TextParser = (value: string) => unknown

const TEXT_FORMAT: Readonly<Record<number, TextParser>> = {
  [BOOL]: (value) => value === 't',
  [BYTEA]: bytesOf,
  [INT2]: Number,
  [INT4]: Number,
  [FLOAT4]: Number,
  [FLOAT8]: Number,
}

const BINARY_FORMAT: Readonly<Record<number, (value: Buffer) => unknown>> = {
  [BOOL]: (value) => value[0] === 1,
  [BYTEA]: (value) => value,
  [INT2]: (value) => value.readInt16BE(),
  [INT4]: (value) => value.readInt32BE(),
  [INT8]: (value) => value.readBigInt64BE().toString(),
  [FLOAT4]: (value) => value.readFloatBE(),
  [FLOAT8]: (value) => value.readDoubleBE(),
}

/** Bytes as text: in hexadecimal, or as `bytea_output = escape` has them. */
function bytesOf(value: string): Buffer {
  if (value.startsWith('\\x')) return Buffer.from(value.slice(2), 'hex')
  const plain = value.replaceAll(/\\(?:\\|([0-7]{3}))/g, (_, octal?: string) =>
    octal === undefined ? '\\' : String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(plain, 'latin1')
}

const asIs: TextParser = (value) => value
const asText = (value: Buffer): string => value.toString()

/**
 * How Tandem's own statements read their columns, whatever the user has set for his: numbers as numbers, `int8` as text, so that
 * nothing is lost, bytes as a Buffer, everything else as PostgreSQL writes it.
 */
export function textParser(oid: number): TextParser {
  return TEXT_FORMAT[oid] ?? asIs
}

/** The same in the form that node-postgres takes. */
export const plainTypes = {
  getTypeParser: (oid: number, format?: string): Parser =>
    format === 'binary' ? (BINARY_FORMAT[oid] ?? asText) : textParser(oid),
}
