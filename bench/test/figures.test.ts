import { expect, test } from 'vitest'
import { isReached, toRecord } from '../src/harness/figures.ts'
import { formatNumber, renderTable } from '../src/harness/table.ts'

const rate = { name: 'rate', value: 2999, unit: 'messages/s', reach: { atLeast: 3000 } }

test('a reach is judged with its bound', () => {
  expect(isReached(rate)).toBe(false)
  expect(isReached({ ...rate, value: 3000 })).toBe(true)
  expect(isReached({ ...rate, reach: { atMost: 2999 } })).toBe(true)
  expect(isReached({ ...rate, reach: { atMost: 2998 } })).toBe(false)
  expect(isReached({ ...rate, reach: { below: 2999 } })).toBe(false)
  expect(isReached({ name: 'memory', value: 1, unit: 'MiB' })).toBe(true)
})

test('what cannot be measured does not reach anything', () => {
  expect(isReached({ ...rate, value: Number.NaN })).toBe(false)
})

test('a figure as a record', () => {
  expect(toRecord('handle', rate, true)).toEqual({ bench: 'handle', ...rate, reach: '>= 3000', ok: false })
  expect(toRecord('handle', rate, false)).toEqual({ bench: 'handle', ...rate, reach: '>= 3000', ok: null })
  expect(toRecord('handle', { name: 'memory', value: 1, unit: 'MiB' }, true)).toMatchObject({ reach: null, ok: true })
})

test('the table', () => {
  const records = [
    toRecord('handle', rate, true),
    toRecord('handle', { name: 'ratio', value: 0.81249, unit: '', reach: { atLeast: 0.8 } }, true),
  ]
  expect(
    renderTable([...records, toRecord('handle', { name: 'memory', value: 61.25, unit: 'MiB' }, true)]).split('\n'),
  ).toEqual([
    'figure  value  unit        reach',
    '------  -----  ----------  -------  ------',
    'rate    2,999  messages/s  >= 3000  MISSED',
    'ratio   0.812              >= 0.8   ok',
    'memory   61.3  MiB',
  ])
})

test('numbers are short', () => {
  expect(formatNumber(1_234_567.8)).toBe('1,234,568')
  expect(formatNumber(999.94)).toBe('1,000')
  expect(formatNumber(0.00123456)).toBe('0.00123')
  expect(formatNumber(0)).toBe('0')
})
