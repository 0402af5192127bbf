import { describe, expect, test } from 'vitest'
import { TandemError } from '../../../src/core/errors.ts'
import { classify, toTandemError } from '../../../src/drivers/postgres-failures.ts'
import type { FailureKind } from '../../../src/spi/driver.ts'

const withCode = (code: string, more: object = {}): Error =>
  Object.assign(new Error('of the server'), { code, ...more })

const BY_CODE: readonly (readonly [code: string, kind: FailureKind])[] = [
  ['55P03', 'busy'],
  ['57014', 'busy'],
  ['53100', 'full'],
  ['40001', 'conflict'],
  ['40P01', 'conflict'],
  ['08000', 'unavailable'],
  ['08006', 'unavailable'],
  ['08P01', 'unavailable'],
  ['57P01', 'unavailable'],
  ['57P02', 'unavailable'],
  ['57P03', 'unavailable'],
  ['57P05', 'unavailable'],
  ['25006', 'unavailable'],
  ['25P03', 'unavailable'],
  ['25P04', 'unavailable'],
  ['26000', 'unavailable'],
  ['42P05', 'unavailable'],
  ['53200', 'unavailable'],
  ['53300', 'unavailable'],
  ['58030', 'unavailable'],
  ['XX001', 'unavailable'],
  ['28P01', 'unavailable'],
  ['3D000', 'unavailable'],
  ['ECONNREFUSED', 'unavailable'],
  ['ECONNRESET', 'unavailable'],
  ['EPIPE', 'unavailable'],
  ['ETIMEDOUT', 'unavailable'],
  ['ENOTFOUND', 'unavailable'],
  ['CONNECTION_CLOSED', 'unavailable'],
  ['CONNECT_TIMEOUT', 'unavailable'],
  ['23505', 'other'],
  ['23503', 'other'],
  ['42P01', 'other'],
  ['42501', 'other'],
  ['22P02', 'other'],
  ['25P02', 'other'],
  ['25000', 'other'],
  ['XX000', 'other'],
  ['ENOENT', 'other'],
]

describe('classify', () => {
  test.each(BY_CODE)('%s is %s', (code, kind) => {
    expect(classify(withCode(code))).toBe(kind)
    expect(classify(new Error('of a query builder', { cause: withCode(code) }))).toBe(kind)
  })

  test('a unix socket that is not there is unavailable', () => {
    expect(classify(withCode('ENOENT', { syscall: 'connect' }))).toBe('unavailable')
  })

  test.each([
    ['Connection terminated unexpectedly', 'unavailable'],
    ['Connection terminated due to connection timeout', 'unavailable'],
    ['Client has encountered a connection error and is not queryable', 'unavailable'],
    ['Client was closed and is not queryable', 'unavailable'],
    ['timeout expired', 'unavailable'],
    ['Query read timeout', 'unavailable'],
    ['Cannot use a pool after calling end on the pool', 'unavailable'],
    ['timeout exceeded when trying to connect', 'busy'],
    ['the customer says: Connection terminated', 'other'],
  ] as const)('"%s" of node-postgres is %s', (message, kind) => {
    expect(classify(new Error(message))).toBe(kind)
  })

  test('a ring of causes ends', () => {
    const error = new Error('a')
    error.cause = new Error('b', { cause: error })
    expect(classify(error)).toBe('other')
  })

  test.each(['STORE_BUSY', 'STORE_FULL', 'STORE_UNAVAILABLE', 'STORE_CONFLICT'] as const)(
    '%s keeps its kind',
    (code) => {
      expect(classify(new TandemError(code, 'x'))).toBe(code.slice('STORE_'.length).toLowerCase())
    },
  )
})

describe('toTandemError', () => {
  test.each([
    ['55P03', 'STORE_BUSY'],
    ['53100', 'STORE_FULL'],
    ['40001', 'STORE_CONFLICT'],
    ['57P01', 'STORE_UNAVAILABLE'],
  ])('makes %s %s, with its cause and what was being done', (code, expected) => {
    const cause = withCode(code)
    const error = toTandemError(cause, 'a statement')
    expect(error).toMatchObject({ code: expected, retryable: true, cause })
    expect((error as Error).message).toContain('a statement failed: Error: of the server')
  })

  test.each([
    ['26000', /prepare: false.*max_prepared_statements/],
    ['42P05', /prepare: false.*max_prepared_statements/],
    ['25006', /standby.*default_transaction_read_only.*primary/],
    ['57014', /statement_timeout/],
  ])('says of %s what to do', (code, told) => {
    const wrapped = new Error('of a query builder', { cause: withCode(code) })
    for (const error of [withCode(code), wrapped]) {
      expect((toTandemError(error, 'a statement') as Error).message).toMatch(told)
    }
  })

  test('leaves every other error as it is', () => {
    for (const error of [withCode('23505'), new TandemError('NOT_FOUND', 'x'), 'text', undefined]) {
      expect(toTandemError(error, 'a statement')).toBe(error)
    }
  })
})
