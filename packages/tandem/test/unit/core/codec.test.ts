import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonCodec } from '../../../src/core/codec.ts'
import { thrown } from '../../support/errors.ts'
import { runs } from '../../support/properties.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const encode = (payload: unknown, depth = 64): Uint8Array => jsonCodec.encode(payload, depth)

/** JSON.stringify writes −0 as 0: the one number that JSON has and JavaScript does not keep. */
function withoutNegativeZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** A copy without properties that are undefined, made without JSON. */
function withoutUndefined(value: unknown): unknown {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(kept.map(([name, one]) => [name, withoutUndefined(one)]))
}

class Money {
  readonly cents = 1
}

describe('what JSON would change is refused, with the place', () => {
  const cycle: Record<string, unknown> = { a: {} }
  ;(cycle['a'] as Record<string, unknown>)['back'] = cycle
  const ring: unknown[] = []
  ring.push([ring])
  test.each<[string, unknown, RegExp]>([
    ['undefined itself', undefined, /\$ is undefined; use null/],
    ['a BigInt', { amount: 10n }, /\$\.amount is a BigInt; use a string/],
    ['a cycle through objects', cycle, /\$\.a\.back is a reference to an object that contains it/],
    ['a cycle through arrays', ring, /\$\[0\]\[0\] is a reference/],
    ['a Date', { at: new Date(0) }, /\$\.at is a Date; use toISOString\(\)/],
    ['a Map', { a: [new Map()] }, /\$\.a\[0\] is an instance of Map; use a plain object/],
    ['a Set', new Set(), /\$ is an instance of Set/],
    ['a RegExp', /x/, /\$ is an instance of RegExp/],
    ['a Promise', { p: Promise.resolve() }, /\$\.p is an instance of Promise/],
    ['a class instance', { price: new Money() }, /\$\.price is an instance of Money/],
    ['an object whose class has no name', Object.create(Object.create(null) as object), /an unknown class/],
    ['a boxed string', Object('x'), /an instance of String/],
    ['bytes', { body: new Uint8Array(1) }, /\$\.body is an instance of Uint8Array/],
    ['a Buffer', Buffer.from('x'), /an instance of Buffer/],
    ['NaN', { n: Number.NaN }, /\$\.n is NaN; use null or a string/],
    ['Infinity', [1, Number.POSITIVE_INFINITY], /\$\[1\] is Infinity/],
    ['a function', { f: () => 1 }, /\$\.f is a function/],
    ['a symbol', { s: Symbol('s') }, /\$\.s is a symbol/],
    ['undefined in an array', { list: [1, undefined] }, /\$\.list\[1\] is undefined in an array; use null/],
    // oxlint-disable-next-line no-sparse-arrays -- the hole is what is tested
    ['a hole in an array', [1, , 2], /\$\[1\] is undefined in an array/],
    ['an object with toJSON', { v: { toJSON: () => 'x' } }, /\$\.v is an object with toJSON\(\)/],
  ])('%s', (_name, payload, message) => {
    expect(thrown('PAYLOAD_UNSERIALIZABLE', () => encode(payload)).message).toMatch(message)
  })

  test('nesting below the limit only', () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })
    expect(jsonCodec.decode(encode(nested(64)))).toEqual(nested(64))
    expect(thrown('PAYLOAD_UNSERIALIZABLE', () => encode(nested(65))).message).toContain('nested too deeply')
    expect(thrown('PAYLOAD_UNSERIALIZABLE', () => encode([[1]], 1)).message).toContain('$[0] is nested too deeply')
  })

  test('nothing that the payload holds is in the message', () => {
    const secret = { card: '4111111111111111', at: new Date() }
    expect(thrown('PAYLOAD_UNSERIALIZABLE', () => encode(secret)).message).not.toContain('4111')
  })
})

describe('what is fine', () => {
  test('the same object twice is no cycle', () => {
    const shared = { x: 1 }
    expect(jsonCodec.decode(encode({ a: shared, b: [shared, shared] }))).toEqual({
      a: { x: 1 },
      b: [{ x: 1 }, { x: 1 }],
    })
  })

  test('properties that are undefined are left out', () => {
    expect(new TextDecoder().decode(encode({ a: undefined, b: 1 }))).toBe('{"b":1}')
  })

  test('an object without a prototype', () => {
    expect(jsonCodec.decode(encode(Object.assign(Object.create(null) as object, { a: 1 })))).toEqual({ a: 1 })
  })

  test('property: any JSON comes back as it went', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }).map(withoutNegativeZero), (payload) => {
        expect(jsonCodec.decode(encode(payload))).toStrictEqual(payload)
      }),
      runs(500),
    )
  })

  test('property: of anything at all, what is accepted comes back equal, and what is refused has the one code', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withSparseArray: true,
      withObjectString: true,
    })
    fc.assert(
      fc.property(anything, (payload) => {
        let body
        try {
          body = encode(payload)
        } catch (error) {
          expect(error).toMatchObject({ code: 'PAYLOAD_UNSERIALIZABLE' })
          return
        }
        // But for undefined properties, which are left out, and −0.
        expect(withoutNegativeZero(jsonCodec.decode(body))).toEqual(withoutUndefined(payload))
      }),
      runs(1000),
    )
  })
})

describe('decode', () => {
  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['text that is not JSON', utf8('{"a":')],
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22)],
  ])('%s is undecodable', (_name, body) => {
    thrown('PAYLOAD_UNDECODABLE', () => jsonCodec.decode(body))
  })

  test('the message quotes nothing of the payload', () => {
    const { message, cause } = thrown('PAYLOAD_UNDECODABLE', () =>
      jsonCodec.decode(utf8('{"card": 4111111111111111 "x"}')),
    )
    expect(message).not.toContain('4111')
    expect(cause).toBeUndefined()
  })

  test('property: any bytes are either read or undecodable', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (body) => {
        try {
          jsonCodec.decode(body)
        } catch (error) {
          expect(error).toMatchObject({ code: 'PAYLOAD_UNDECODABLE' })
        }
      }),
      runs(500),
    )
  })
})
