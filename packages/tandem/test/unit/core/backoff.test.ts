import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { loopBackoff, retryDelay, settleRetryPolicy, type RetryPolicy } from '../../../src/core/backoff.ts'
import { thrown } from '../../support/errors.ts'
import { runs } from '../../support/properties.ts'

const settle = (policy?: RetryPolicy) => settleRetryPolicy(policy, 'here')
const noJitter = (): number => 0

describe('the delay of a retry', () => {
  test('doubles from a second to an hour by default, with up to half of it taken off', () => {
    const policy = settle()
    expect([1, 2, 3, 4].map((attempt) => retryDelay(policy, attempt, noJitter))).toEqual([1000, 2000, 4000, 8000])
    expect(retryDelay(policy, 15, noJitter)).toBe(3_600_000)
    expect(retryDelay(policy, 1, () => 0.999_999)).toBe(500)
    expect(policy.maxAttempts).toBe(16)
  })

  test('comes from the list where there is one; the last delay repeats', () => {
    const policy = settle({ delays: [10, 20, 30], jitter: 0 })
    expect([1, 2, 3, 4, 100].map((attempt) => retryDelay(policy, attempt, Math.random))).toEqual([10, 20, 30, 30, 30])
  })

  test('property: a whole number of milliseconds, within its bounds, for any attempt', () => {
    const formula = fc.record({
      initial: fc.nat(100_000),
      factor: fc.double({ min: 1, max: 1000, noNaN: true }),
      max: fc.nat(10_000_000),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(formula, fc.integer({ min: 1, max: 1_000_000 }), random, (given, attempt, drawn) => {
        const policy = settle(given)
        const delay = retryDelay(policy, attempt, () => drawn)
        const full = retryDelay(policy, attempt, noJitter)
        expect(Number.isInteger(delay)).toBe(true)
        expect(delay).toBeGreaterThanOrEqual(Math.floor(full * (1 - given.jitter)))
        expect(delay).toBeLessThanOrEqual(full)
        expect(full).toBeLessThanOrEqual(given.max)
        // Without jitter a later attempt never waits less.
        expect(retryDelay(policy, attempt + 1, noJitter)).toBeGreaterThanOrEqual(full)
      }),
      runs(300),
    )
  })
})

test('a loop backs off from 50 ms to 2 s', () => {
  expect([1, 2, 3, 6, 7, 1000].map((failures) => loopBackoff(failures, noJitter))).toEqual([
    50, 100, 200, 1600, 2000, 2000,
  ])
  expect(loopBackoff(1, () => 0.999_999)).toBe(25)
})

describe('a retry policy that makes no sense is refused', () => {
  test.each<[string, RetryPolicy]>([
    ['maxAttempts', { maxAttempts: 0 }],
    ['maxAttempts', { maxAttempts: 1.5 }],
    ['maxAttempts', { maxAttempts: Number.NaN }],
    ['maxAttempts', { maxAttempts: '3' as unknown as number }],
    ['delays', { delays: [] }],
    ['delays', { delays: [1, -1] }],
    ['delays', { delays: [Number.NaN] }],
    ['delays', { delays: [Number.POSITIVE_INFINITY] }],
    ['delays', { delays: 5 as unknown as number[] }],
    ['delays', { delays: ['5'] as unknown as number[] }],
    ['delays', { delays: [1], initial: 1 }],
    ['delays', { delays: [1], factor: 2 }],
    ['delays', { delays: [1], max: 2 }],
    ['initial', { initial: -1 }],
    ['initial', { initial: Number.POSITIVE_INFINITY }],
    ['factor', { factor: 0.5 }],
    ['factor', { factor: Number.NaN }],
    ['max', { max: -1 }],
    ['max', { max: Number.NaN }],
    ['jitter', { jitter: -0.1 }],
    ['jitter', { jitter: 1.1 }],
    ['jitter', { jitter: '1' as unknown as number }],
    ['retryIf', { retryIf: true as unknown as () => boolean }],
  ])('%s: %j', (name, policy) => {
    expect(thrown('CONFIG_INVALID', () => settle(policy)).message).toContain(`here: retry.${name}`)
  })

  test('what makes sense is taken as it is', () => {
    const retryIf = (): boolean => false
    expect(settle({ maxAttempts: 1, initial: 0, factor: 1, max: 0, jitter: 1, retryIf })).toEqual({
      maxAttempts: 1,
      delays: undefined,
      initial: 0,
      factor: 1,
      max: 0,
      jitter: 1,
      retryIf,
    })
  })
})
