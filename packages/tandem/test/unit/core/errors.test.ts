import { describe, expect, test } from 'vitest'
import {
  DoNotRetry,
  ERROR_CODES,
  errorText,
  isDoNotRetry,
  isTandemError,
  TandemError,
} from '../../../src/core/errors.ts'

describe('TandemError', () => {
  test('has a code, and says whether trying again can help', () => {
    const cause = new Error('below')
    const error = new TandemError('STORE_BUSY', 'text', { cause })
    expect(error).toMatchObject({ name: 'TandemError', code: 'STORE_BUSY', retryable: true, message: 'text', cause })
    expect(new TandemError('NAME_INVALID', 'text').retryable).toBe(false)
    expect(new TandemError('STORE_UNAVAILABLE', 'text', { retryable: false }).retryable).toBe(false)
    expect('cause' in new TandemError('NAME_INVALID', 'text')).toBe(false)
  })

  test('is recognised across copies of the package, by brand and code', () => {
    const copy = Object.assign(new Error('x'), { [Symbol.for('tandem.error')]: true, code: 'CONFLICT' })
    expect(isTandemError(copy)).toBe(true)
    expect(isTandemError(copy, 'CONFLICT')).toBe(true)
    expect(isTandemError(copy, 'NOT_FOUND')).toBe(false)
    for (const other of [undefined, null, 'CONFLICT', { code: 'CONFLICT' }, new Error('x')]) {
      expect(isTandemError(other)).toBe(false)
    }
  })

  test('the codes are a closed list without repetition', () => {
    expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length)
    expect(ERROR_CODES.every((code) => /^[A-Z]+(_[A-Z]+)*$/.test(code))).toBe(true)
  })
})

test('DoNotRetry is told from other errors', () => {
  const error = new DoNotRetry('no', { cause: 5 })
  expect(isDoNotRetry(error)).toBe(true)
  expect(error).toMatchObject({ name: 'DoNotRetry', message: 'no', cause: 5 })
  for (const other of [new Error('no'), undefined, null, 'DoNotRetry']) expect(isDoNotRetry(other)).toBe(false)
})

describe('errorText', () => {
  const hostile = Object.defineProperty(new Error('x'), 'message', {
    get: () => {
      throw new Error('in the getter')
    },
  })
  const unprintable = Object.assign(new Error('x'), { message: Symbol('s') })
  test.each<[string, unknown, string]>([
    ['an error', new TypeError('no'), 'TypeError: no'],
    ['an error without a text', Object.assign(new RangeError('x'), { message: '' }), 'RangeError'],
    ['a string', 'no', 'no'],
    ['undefined', undefined, 'thrown value: undefined'],
    ['null', null, 'thrown value: null'],
    ['an object', { a: { b: { c: 1 } } }, 'thrown value: { a: { b: [Object] } }'],
    ['an object without a prototype', Object.create(null), 'thrown value: [Object: null prototype] {}'],
    ['a frozen error', Object.freeze(new Error('cold')), 'Error: cold'],
    ['an error whose text throws', hostile, 'an error that cannot be shown'],
    ['an error whose text is a symbol', unprintable, 'an error that cannot be shown'],
  ])('%s', (_name, error, text) => {
    expect(errorText(error)).toBe(text)
  })
})
