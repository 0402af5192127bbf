import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { settleRetryPolicy, type RetryPolicy } from '../../../src/core/backoff.ts'
import { DoNotRetry, TandemError, type ErrorCode } from '../../../src/core/errors.ts'
import { afterFailure, afterUnreadable } from '../../../src/core/inbox-state.ts'
import { runs } from '../../support/properties.ts'

const after = (error: unknown, attempt: number, policy?: RetryPolicy) =>
  afterFailure(error, attempt, settleRetryPolicy(policy, 'here'), () => 0)

describe('after a failed attempt', () => {
  test('the message is retried while there are attempts left', () => {
    const policy = { maxAttempts: 3, delays: [10, 20] }
    expect(after(new Error('x'), 1, policy)).toEqual({ state: 'retrying', delay: 10 })
    expect(after(new Error('x'), 2, policy)).toEqual({ state: 'retrying', delay: 20 })
    expect(after(new Error('x'), 3, policy)).toEqual({ state: 'dead', reason: 'attempts-exhausted' })
    expect(after(new Error('x'), 4, policy)).toEqual({ state: 'dead', reason: 'attempts-exhausted' })
  })

  test.each<[ErrorCode, string]>([
    ['PAYLOAD_INVALID', 'payload-invalid'],
    ['PAYLOAD_UNDECODABLE', 'undecodable'],
    ['TYPE_UNKNOWN', 'type-unknown'],
  ])('%s, of a message that cannot be read, is dead at once', (code, reason) => {
    expect(afterUnreadable(new TandemError(code, 'x'))).toEqual({ state: 'dead', reason })
  })

  test('that a handler sent something invalid says nothing about the message it handled', () => {
    expect(after(new TandemError('PAYLOAD_INVALID', 'x'), 1).state).toBe('retrying')
  })

  test('DoNotRetry is dead at once, also from another copy of the package', () => {
    expect(after(new DoNotRetry('x'), 1)).toEqual({ state: 'dead', reason: 'not-retryable' })
    const copy = Object.assign(new Error('x'), { [Symbol.for('tandem.do-not-retry')]: true })
    expect(after(copy, 1)).toEqual({ state: 'dead', reason: 'not-retryable' })
  })

  test('DoNotRetry as a cause does not count: the handler chose to throw something else', () => {
    expect(after(new Error('x', { cause: new DoNotRetry('y') }), 1).state).toBe('retrying')
  })

  test('retryIf is asked with the error and the number of the attempt', () => {
    const asked: unknown[] = []
    const error = new Error('x')
    const retryIf = (...given: unknown[]): boolean => asked.push(given) < 2
    expect(after(error, 1, { retryIf }).state).toBe('retrying')
    expect(after(error, 2, { retryIf })).toEqual({ state: 'dead', reason: 'not-retryable' })
    expect(asked).toEqual([
      [error, 1],
      [error, 2],
    ])
  })

  test('a retryIf that throws counts as yes, within the attempts', () => {
    const policy = {
      maxAttempts: 2,
      retryIf: () => {
        throw new Error('in retryIf')
      },
    }
    expect(after(new Error('x'), 1, policy).state).toBe('retrying')
    expect(after(new Error('x'), 2, policy)).toEqual({ state: 'dead', reason: 'attempts-exhausted' })
  })

  test('property: whatever is thrown, there is a verdict, and a dead end within the attempts', () => {
    fc.assert(
      fc.property(fc.anything(), fc.integer({ min: 1, max: 20 }), (error, maxAttempts) => {
        const verdicts = Array.from({ length: maxAttempts }, (_, i) =>
          after(error, i + 1, { maxAttempts, delays: [0] }),
        )
        expect(verdicts.at(-1)?.state).toBe('dead')
        expect(verdicts.slice(0, -1).every(({ state }) => state === 'retrying')).toBe(true)
      }),
      runs(200),
    )
  })
})
