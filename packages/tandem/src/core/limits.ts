import { TandemError } from './errors.ts'

/** What a message may be at most. Checked when it is sent, so that nothing is written that no broker would take. */
export interface Limits {
  /** Bytes of the encoded payload. Default 1,048,576. */
  readonly payloadBytes: number
  /** Nesting of the payload. Default 64. */
  readonly payloadDepth: number
  /** Number of headers that a user sets on one message. Default 64. */
  readonly headerCount: number
  /** Bytes of all header names and values that a user sets on one message. Default 8,192. */
  readonly headerBytes: number
}

export const DEFAULT_LIMITS: Limits = { payloadBytes: 1_048_576, payloadDepth: 64, headerCount: 64, headerBytes: 8192 }

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$/
const HEADER = /^[a-z0-9][a-z0-9._-]{0,63}$/
const RESERVED_HEADER = /^(ce-|tandem-|content-type$)/
// eslint-disable-next-line no-control-regex -- control characters are just what this looks for
const CONTROL = /[\u0000-\u001f\u007f]/
export const KEY_BYTES = 255

/** A name of a service, topic, type or consumer group: letters, digits, `.`, `_`, `-`; 1 to 127 of them. */
export function checkName(kind: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME.test(name)) return
  throw new TandemError(
    'NAME_INVALID',
    `${kind} name ${quote(name)}: use 1 to 127 letters, digits, ".", "_" or "-", beginning with a letter or digit`,
  )
}

/** A message key: 1 to 255 bytes of UTF-8 without control characters. */
export function checkKey(key: unknown, type: string): asserts key is string {
  if (typeof key === 'string' && key !== '' && Buffer.byteLength(key) <= KEY_BYTES && !CONTROL.test(key)) return
  throw new TandemError(
    'NAME_INVALID',
    `key ${quote(key)} of a ${type} message: use a string of 1 to ${KEY_BYTES} bytes without control characters`,
  )
}

/** The headers that a user sets: lower-case names, no control characters, none of Tandem's own or CloudEvents' names. */
export function checkHeaders(
  headers: unknown,
  type: string,
  limits: Limits,
): asserts headers is Readonly<Record<string, string>> {
  const refuse = (why: string): never => {
    throw new TandemError('HEADER_INVALID', `headers of a ${type} message: ${why}`)
  }
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers))
    return refuse('must be an object of strings')
  const entries = Object.entries(headers)
  if (entries.length > limits.headerCount)
    refuse(`${entries.length} of them; at most ${limits.headerCount} are allowed`)
  let bytes = 0
  for (const [name, value] of entries) {
    if (!HEADER.test(name)) refuse(`the name ${quote(name)} must be 1 to 64 of a-z, 0-9, ".", "_", "-"`)
    if (RESERVED_HEADER.test(name)) refuse(`the name ${quote(name)} is reserved (ce-*, tandem-*, content-type)`)
    if (typeof value !== 'string') return refuse(`the value of ${name} must be a string, not ${typeof value}`)
    if (CONTROL.test(value))
      refuse(`the value of ${name} has control characters; encode it first, for example as base64`)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes > limits.headerBytes) refuse(`${bytes} bytes; at most ${limits.headerBytes} are allowed`)
}

/** Refuses the options that nothing reads, with the nearest known name. */
export function checkOptions(where: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null) {
    throw new TandemError('CONFIG_INVALID', `${where}: must be an object, not ${quote(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    throw new TandemError(
      'OPTION_UNKNOWN',
      `${where}: there is no option ${quote(name)}; known are ${known.join(', ')}`,
    )
  }
}

/** A number option within [min, max], or its default. */
export function checkNumber(
  where: string,
  value: unknown,
  rule: { min: number; max?: number; integer?: boolean; default: number },
): number {
  if (value === undefined) return rule.default
  const max = rule.max ?? Number.MAX_SAFE_INTEGER
  if (typeof value === 'number' && value >= rule.min && value <= max && (!rule.integer || Number.isInteger(value)))
    return value
  const kind = rule.integer ? 'a whole number' : 'a number'
  const range = rule.max === undefined ? `from ${rule.min}` : `from ${rule.min} to ${rule.max}`
  throw new TandemError('CONFIG_INVALID', `${where}: must be ${kind} ${range}, not ${quote(value)}`)
}

function quote(value: unknown): string {
  if (typeof value !== 'string') return `(${value === null ? 'null' : typeof value})`
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
}
