import { expect, test } from 'vitest'
import { paired } from '../src/harness/paired.ts'
import { median, percentile } from '../src/harness/statistics.ts'

test('the median of an odd and of an even number of values', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([10, 1, 2, 3])).toBe(2.5)
  expect(() => median([])).toThrow('no values')
})

test('a percentile is the nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  expect(percentile(hundred, 50)).toBe(50)
  expect(percentile(hundred, 99)).toBe(99)
  expect(percentile(hundred, 100)).toBe(100)
  expect(percentile([7], 1)).toBe(7)
})

test('pairs alternate which side goes first, and the first pair does not count', async () => {
  const calls: string[] = []
  const values = { A: [1, 100, 200, 400], B: [9, 50, 200, 100] }
  const run = (side: 'A' | 'B') => async (round: number) => {
    calls.push(`${side}${round}`)
    return values[side][round] ?? 0
  }
  const result = await paired(3, run('A'), run('B'))
  expect(calls).toEqual(['A0', 'B0', 'B1', 'A1', 'A2', 'B2', 'B3', 'A3'])
  expect(result).toEqual({ base: 200, other: 100, ratio: 0.5 })
})
