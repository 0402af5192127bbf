import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  afterUnknown,
  decide,
  DEFAULT_CHECK_SCHEDULE,
  readAnswer,
  stateAfter,
  type HalfDecision,
  type HalfState,
} from '../../../src/core/half-state.ts'
import { runs } from '../../support/properties.ts'

test("the schedule has RocketMQ's defaults", () => {
  expect(DEFAULT_CHECK_SCHEDULE).toEqual({
    transactionTimeOut: 6000,
    transactionCheckInterval: 30_000,
    transactionCheckMax: 15,
  })
})

describe('an answer', () => {
  test('that is one of the words counts', () => {
    expect([readAnswer('commit'), readAnswer('rollback'), readAnswer('unknown')]).toEqual([
      'commit',
      'rollback',
      'unknown',
    ])
  })

  test.each([undefined, null, true, false, 1, 'COMMIT', 'commit ', '', 'committed', ['commit'], { commit: true }, 1n])(
    'that is odd (%s) is unknown',
    (answer) => {
      expect(readAnswer(answer)).toBe('unknown')
    },
  )

  test('property: of anything at all, only the exact words decide', () => {
    fc.assert(
      fc.property(fc.anything(), (answer) => {
        const decides = answer === 'commit' || answer === 'rollback'
        expect(readAnswer(answer)).toBe(decides ? answer : 'unknown')
      }),
      runs(300),
    )
  })
})

describe('a decision', () => {
  test.each<[HalfState, HalfDecision, string]>([
    ['prepared', 'commit', 'decided'],
    ['prepared', 'rollback', 'decided'],
    ['undecided', 'commit', 'decided'],
    ['undecided', 'rollback', 'decided'],
    ['committed', 'commit', 'repeated'],
    ['committed', 'rollback', 'contradicted'],
    ['rolled-back', 'rollback', 'repeated'],
    ['rolled-back', 'commit', 'contradicted'],
  ])('%s and then %s: %s', (state, decision, result) => {
    expect(decide(state, decision)).toBe(result)
  })

  test('property: the first one of any sequence stands for ever', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom<HalfDecision>('commit', 'rollback'), { minLength: 1 }), (decisions) => {
        let state: HalfState = 'prepared'
        for (const decision of decisions) {
          const result = decide(state, decision)
          if (result === 'decided') state = stateAfter(decision)
          expect(result === 'contradicted').toBe(state !== stateAfter(decision))
        }
        expect(state).toBe(stateAfter(decisions[0] ?? 'commit'))
      }),
      runs(100),
    )
  })
})

test('unknown is asked again until the maximum, and then parked: never decided', () => {
  const schedule = { transactionTimeOut: 1, transactionCheckInterval: 7, transactionCheckMax: 3 }
  expect([1, 2, 3, 4].map((answered) => afterUnknown(answered, schedule))).toEqual([
    { state: 'prepared', nextCheckIn: 7 },
    { state: 'prepared', nextCheckIn: 7 },
    { state: 'undecided', nextCheckIn: 0 },
    { state: 'undecided', nextCheckIn: 0 },
  ])
})
