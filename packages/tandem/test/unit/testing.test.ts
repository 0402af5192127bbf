import { afterEach, expect, test } from 'vitest'
import { crashPoint, onCrashPoint } from '../../src/core/crash-points.ts'
import { at, failAt, killAtFromEnvironment, observeCrashPoints, SimulatedCrash } from '../../src/testing/index.ts'

afterEach(() => onCrashPoint(undefined))

test('failAt throws at its point, the nth time and no other', () => {
  const disarm = failAt('relay.read', 2)
  crashPoint('relay.read')
  crashPoint('relay.published')
  expect(() => crashPoint('relay.read')).toThrow(SimulatedCrash)
  crashPoint('relay.read')
  disarm()
})

test('several points can be armed at once, and each is disarmed alone', () => {
  const seen: string[] = []
  const stopObserving = observeCrashPoints((point) => seen.push(point))
  const disarmFirst = at('relay.read', 1, () => seen.push('first'))
  const disarmSecond = at('relay.removed', 1, () => seen.push('second'))
  disarmFirst()
  crashPoint('relay.read')
  crashPoint('relay.removed')
  expect(seen).toEqual(['relay.read', 'relay.removed', 'second'])
  stopObserving()
  disarmSecond()
  crashPoint('relay.read')
  expect(seen).toHaveLength(3)
})

test('the environment names a point that exists, or the process is told', () => {
  expect(() => killAtFromEnvironment({ TANDEM_KILL_AT: 'relay.slept' })).toThrow(
    /there is no crash point "relay\.slept"/,
  )
  expect(() => killAtFromEnvironment({ TANDEM_KILL_AT: 'relay.read:soon' })).toThrow(/whole number from 1/)
  killAtFromEnvironment({})
})
