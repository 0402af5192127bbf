import { errorText, TandemError } from './errors.ts'

/** Turns payloads into bytes and back. Both sides of a message must use the same one. */
export interface Codec {
  /** Travels as the CloudEvents `datacontenttype`. */
  readonly contentType: string
  /** Throws when the payload cannot be represented. */
  encode(payload: unknown, maxDepth: number): Uint8Array
  /** Throws when the bytes cannot be read. */
  decode(body: Uint8Array): unknown
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * JSON, strictly: what goes in is what comes out. A `Date`, `Map`, `BigInt`, `NaN`, class instance or cycle is refused instead of
 * silently arriving as something else; properties that are `undefined` are left out.
 */
export const jsonCodec: Codec = {
  contentType: 'application/json',
  encode(payload, maxDepth) {
    if (payload === undefined) throw unserializable('$', 'undefined; use null')
    checkPlain(payload, '$', maxDepth, [])
    // Not by a TextEncoder, which takes six times as long for a small text.
    return Buffer.from(JSON.stringify(payload))
  },
  decode(body) {
    try {
      return JSON.parse(decoder.decode(body)) as unknown
    } catch (error) {
      // The parser's own message quotes the text around the fault, which may be sensitive: neither that nor a cause.
      throw new TandemError('PAYLOAD_UNDECODABLE', `the payload is not JSON in UTF-8${faultPlace(error)}`)
    }
  },
}

/** ` (at position 17)`, where the parser's error says so. */
export function faultPlace(error: unknown): string {
  const place = /position \d+/.exec(errorText(error))?.[0]
  return place === undefined ? '' : ` (at ${place})`
}

function checkPlain(value: unknown, path: string, depth: number, above: object[]): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return
    case 'number':
      if (!Number.isFinite(value)) throw unserializable(path, `${value}; use null or a string`)
      return
    case 'bigint':
      throw unserializable(path, 'a BigInt; use a string')
    case 'function':
    case 'symbol':
      throw unserializable(path, `a ${typeof value}`)
    case 'object':
      break
  }
  if (value === null) return
  if (above.includes(value)) throw unserializable(path, 'a reference to an object that contains it')
  if (depth <= 0) throw unserializable(path, 'nested too deeply')
  above.push(value)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (value[i] === undefined) throw unserializable(`${path}[${i}]`, 'undefined in an array; use null')
      checkPlain(value[i], `${path}[${i}]`, depth - 1, above)
    }
  } else {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      const name = (prototype as { constructor?: { name?: string } }).constructor?.name ?? 'an unknown class'
      throw unserializable(
        path,
        name === 'Date' ? 'a Date; use toISOString()' : `an instance of ${name}; use a plain object`,
      )
    }
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function')
      throw unserializable(path, 'an object with toJSON()')
    for (const name in value) checkPlain((value as Record<string, unknown>)[name], `${path}.${name}`, depth - 1, above)
  }
  above.pop()
}

function unserializable(path: string, what: string): TandemError {
  return new TandemError('PAYLOAD_UNSERIALIZABLE', `the payload cannot be sent as JSON: ${path} is ${what}`)
}
