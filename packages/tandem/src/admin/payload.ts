import { faultPlace, jsonCodec } from '../core/codec.ts'
import { TandemError } from '../core/errors.ts'
import { DEFAULT_LIMITS } from '../core/limits.ts'
import { MASK, redact } from '../core/redact.ts'
import { readSensitive } from '../core/wire.ts'

/** A payload as a person may see it. */
export type PayloadView =
  | {
      readonly kind: 'json'
      readonly contentType: string
      readonly bytes: number
      /** With `•••` in the place of what is sensitive. */
      readonly value: unknown
      /** The dotted paths that are masked; an empty one stands for the whole payload. */
      readonly masked: readonly string[]
    }
  | {
      /** Not JSON, or said to be and not readable. */
      readonly kind: 'opaque'
      readonly contentType: string
      readonly bytes: number
      /** Why it is not shown. */
      readonly why: string
    }

type Headers = Readonly<Record<string, string>>

const SENSITIVE_HEADER = 'tandem-sensitive'

/** The payload with what is sensitive masked. */
export function viewPayload(headers: Headers, body: Uint8Array): PayloadView {
  const contentType = contentTypeOf(headers)
  const opaque = (why: string): PayloadView => ({ kind: 'opaque', contentType, bytes: body.byteLength, why })
  if (!isJson(contentType)) return opaque('not JSON')
  const masked = sensitivePaths(headers)
  try {
    const value = redact(jsonCodec.decode(body), masked)
    return { kind: 'json', contentType, bytes: body.byteLength, value, masked }
  } catch {
    // The text is not shown, not even in part: nothing tells where in it a sensitive value would be.
    return opaque('said to be JSON, and not readable as such')
  }
}

/** The decoded payload, with nothing masked; undefined where it is not JSON. For redacting other texts by it. */
export function decodePayload(headers: Headers, body: Uint8Array): unknown {
  if (!isJson(contentTypeOf(headers))) return undefined
  try {
    return jsonCodec.decode(body)
  } catch {
    return undefined
  }
}

export function sensitivePaths(headers: Headers): readonly string[] {
  return readSensitive(headers[SENSITIVE_HEADER])
}

/**
 * The body that an edited payload makes.
 *
 * A `•••` in the place of a sensitive value means "as it was". Anywhere else it is refused, and so it is in a list whose elements
 * were moved, added or removed: there it does not tell which of the hidden values is meant.
 *
 * @throws TandemError `PAYLOAD_INVALID`, `PAYLOAD_UNSERIALIZABLE`, `MESSAGE_TOO_LARGE`
 */
export function editPayload(headers: Headers, body: Uint8Array, text: string): Uint8Array {
  const contentType = contentTypeOf(headers)
  if (!isJson(contentType)) {
    throw new TandemError('PAYLOAD_INVALID', `the payload is ${contentType}; only JSON payloads can be edited`)
  }
  const edited = parse(text)
  // Checks the depth, too, before anything below walks down into it.
  const plain = jsonCodec.encode(edited, DEFAULT_LIMITS.payloadDepth)
  // What has no mask is stored as it was typed: numbers beyond a double would not survive being parsed and written.
  const next = hasMask(edited) ? restoreMasked(headers, body, edited) : new TextEncoder().encode(text.trim())
  if (Math.max(plain.byteLength, next.byteLength) <= DEFAULT_LIMITS.payloadBytes) return next
  throw new TandemError(
    'MESSAGE_TOO_LARGE',
    `the edited payload has ${next.byteLength} bytes; at most ${DEFAULT_LIMITS.payloadBytes} are allowed`,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TandemError('PAYLOAD_INVALID', `the edited payload is not JSON${faultPlace(error)}`)
  }
}

function restoreMasked(headers: Headers, body: Uint8Array, edited: unknown): Uint8Array {
  const original = decodePayload(headers, body)
  const masked = redact(original, sensitivePaths(headers))
  return jsonCodec.encode(restore(edited, original, masked, '$'), DEFAULT_LIMITS.payloadDepth)
}

function restore(edited: unknown, original: unknown, masked: unknown, path: string): unknown {
  if (edited === MASK) {
    if (masked === MASK) return original
    throw new TandemError(
      'PAYLOAD_INVALID',
      `the edited payload has ${MASK} at ${path}, where no hidden value was; write the value itself`,
    )
  }
  if (Array.isArray(edited)) {
    const before = Array.isArray(masked) ? (masked as unknown[]) : []
    if (edited.some(hasMask) && !isAligned(edited, before)) {
      throw new TandemError(
        'PAYLOAD_INVALID',
        `the edited payload has ${MASK} in the list at ${path}, whose elements were moved, added or removed; ` +
          'keep the list as it was, or write the values themselves',
      )
    }
    return edited.map((item, i) => restore(item, elementOf(original, i), before[i], `${path}[${i}]`))
  }
  if (typeof edited !== 'object' || edited === null) return edited
  return Object.fromEntries(
    Object.entries(edited).map(([name, value]) => [
      name,
      restore(value, propertyOf(original, name), propertyOf(masked, name), `${path}.${name}`),
    ]),
  )
}

/** Whether every element of `edited` that has a mask can only be the element of `before` in the same place. */
function isAligned(edited: readonly unknown[], before: readonly unknown[]): boolean {
  if (edited.length !== before.length) return false
  const texts = before.map((item) => JSON.stringify(item))
  return edited.every((item, i) => {
    const text = JSON.stringify(item)
    return !hasMask(item) || text === texts[i] || !texts.includes(text)
  })
}

function hasMask(value: unknown): boolean {
  if (value === MASK) return true
  return typeof value === 'object' && value !== null && Object.values(value).some(hasMask)
}

function elementOf(value: unknown, index: number): unknown {
  return Array.isArray(value) ? value[index] : undefined
}

function propertyOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Record<string, unknown>)[name]
}

function contentTypeOf(headers: Headers): string {
  return headers['content-type'] ?? 'application/json'
}

/** `application/json`, `text/json` and everything with `+json`, with or without parameters. */
function isJson(contentType: string): boolean {
  return /^(?:application|text)\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i.test(contentType.trim())
}
