import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkHeaders,
  checkKey,
  checkName,
  checkNumber,
  checkOptions,
  DEFAULT_LIMITS,
  KEY_BYTES,
} from '../../../src/core/limits.ts'
import { thrown } from '../../support/errors.ts'
import { runs } from '../../support/properties.ts'

describe('names', () => {
  test.each(['a', 'orders.placed', 'Order_Placed-2', '0', `a${'b'.repeat(126)}`])('%s is one', (name) => {
    expect(() => checkName('topic', name)).not.toThrow()
  })

  test.each<[string, unknown]>([
    ['empty', ''],
    ['too long', 'a'.repeat(128)],
    ['a newline at the end', 'orders\n'],
    ['a newline inside', 'or\nders'],
    ['a blank', 'or ders'],
    ['beginning with a dot', '.orders'],
    ['beginning with a dash', '-orders'],
    ['a slash', 'a/b'],
    ['a letter that is not ASCII', 'größe'],
    ['a NUL', 'a\u0000'],
    ['undefined', undefined],
    ['a number', 5],
    ['an object that reads like one', { toString: () => 'orders' }],
  ])('%s is none', (_name, name) => {
    const { message } = thrown('NAME_INVALID', () => checkName('topic', name))
    expect(message).toContain('topic name')
    expect(message, 'fits on a line of a log').not.toContain('\n')
  })

  test('a long name is cut in the message', () => {
    expect(thrown('NAME_INVALID', () => checkName('topic', 'x'.repeat(10_000))).message.length).toBeLessThan(300)
  })

  test('property: what is accepted has none but the allowed characters', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.oneof(fc.constantFrom('a', 'Z', '0', '.', '_', '-'), fc.string({ unit: 'grapheme', maxLength: 1 })),
          maxLength: 200,
        }),
        (name) => {
          let accepted = true
          try {
            checkName('topic', name)
          } catch {
            accepted = false
          }
          const fits = name.length >= 1 && name.length <= 127 && !/[^A-Za-z0-9._-]/.test(name)
          expect(accepted).toBe(fits && !'._-'.includes(name[0] ?? '.'))
        },
      ),
      runs(500),
    )
  })
})

describe('keys', () => {
  test('up to 255 bytes of UTF-8', () => {
    for (const key of ['a', ' ', 'ü'.repeat(127), '日本', 'a/b\\c', "'--"]) {
      expect(() => checkKey(key, 'orders.placed')).not.toThrow()
    }
    expect(Buffer.byteLength('ü'.repeat(128))).toBe(KEY_BYTES + 1)
  })

  test.each<[string, unknown]>([
    ['empty', ''],
    ['256 bytes of 128 characters', 'ü'.repeat(128)],
    ['a newline', 'a\n'],
    ['a NUL', 'a\u0000b'],
    ['DEL', 'a\u007f'],
    ['a number', 7],
    ['null', null],
    ['undefined', undefined],
  ])('%s is refused', (_name, key) => {
    expect(thrown('NAME_INVALID', () => checkKey(key, 'orders.placed')).message).toContain('orders.placed')
  })
})

describe('headers', () => {
  const check = (headers: unknown, limits = DEFAULT_LIMITS) => checkHeaders(headers, 'orders.placed', limits)

  test('lower-case names with string values', () => {
    expect(() => check({ traceparent: '00-a', 'x-tenant': 'ü "quoted"', 'a.b_c': '' })).not.toThrow()
    expect(() => check({})).not.toThrow()
  })

  test.each<[string, unknown, RegExp]>([
    ['null', null, /must be an object/],
    ['an array', [], /must be an object/],
    ['a string', 'a', /must be an object/],
    ['an upper-case name', { Tenant: 'x' }, /"Tenant"/],
    ['an empty name', { '': 'x' }, /""/],
    ['a name with a newline', { 'a\nb': 'x' }, /"a\\nb"/],
    ['a name that ends in a newline', { 'a\n': 'x' }, /"a\\n"/],
    ['a name with a colon', { 'a:b': 'x' }, /"a:b"/],
    ['a name of 65 characters', { ['a'.repeat(65)]: 'x' }, /1 to 64/],
    ['a value that is a number', { a: 5 }, /must be a string, not number/],
    ['a value that is undefined', { a: undefined }, /must be a string, not undefined/],
    ['a value with a newline', { a: 'x\r\nce-id: 1' }, /control characters/],
    ['a name of CloudEvents', { 'ce-id': 'x' }, /reserved/],
    ['a name of Tandem', { 'tandem-sensitive': 'x' }, /reserved/],
    ['the content type', { 'content-type': 'x' }, /reserved/],
    ['too many', Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, ''])), /65 of them; at most 64/],
    ['too many bytes', { a: 'ü'.repeat(4096) }, /8193 bytes; at most 8192/],
  ])('%s: refused', (_name, headers, message) => {
    expect(thrown('HEADER_INVALID', () => check(headers)).message).toMatch(message)
  })

  test('a refused value is not quoted, for it may be secret', () => {
    expect(thrown('HEADER_INVALID', () => check({ token: 'hunter2\n' })).message).not.toContain('hunter2')
  })

  test('a name that sounds like a reserved one is free', () => {
    expect(() => check({ cell: 'x', tandem: 'x', 'content-type-2': 'x', 'x-ce-id': 'x' })).not.toThrow()
  })
})

describe('options', () => {
  test('an unknown one is told with those that are known', () => {
    const { message } = thrown('OPTION_UNKNOWN', () => checkOptions('consume(a)', { grup: 'x' }, ['group', 'retry']))
    expect(message).toBe('consume(a): there is no option "grup"; known are group, retry')
  })

  test('an option that is undefined still counts as given', () => {
    thrown('OPTION_UNKNOWN', () => checkOptions('here', { grup: undefined }, ['group']))
  })

  test.each([null, 5, 'x', true])('%j is no options object', (options) => {
    thrown('CONFIG_INVALID', () => checkOptions('here', options, ['group']))
  })

  test('none at all is fine', () => {
    expect(() => checkOptions('here', undefined, ['group'])).not.toThrow()
  })
})

describe('numbers', () => {
  const rule = { min: 1, max: 10, integer: true, default: 5 }

  test('within the range, or the default', () => {
    expect([undefined, 1, 10].map((value) => checkNumber('here', value, rule))).toEqual([5, 1, 10])
    expect(checkNumber('here', 1.5, { min: 1, default: 2 })).toBe(1.5)
  })

  test.each([0, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null, 5n, {}])('%s is refused', (value) => {
    const { message } = thrown('CONFIG_INVALID', () => checkNumber('here', value, rule))
    expect(message).toContain('here: must be a whole number from 1 to 10')
  })
})
