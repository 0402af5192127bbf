import { describe, expect, test } from 'vitest'
import type { Style } from '../../src/render/style.ts'
import { fields, table } from '../../src/render/table.ts'
import { cut, jsonText, safe, safeLines, width } from '../../src/render/text.ts'
import { bytes } from '../../src/render/bytes.ts'
import { age, duration, until } from '../../src/render/time.ts'

const same = (text: string): string => text
const plain: Style = { bold: same, dim: same, good: same, warn: same, bad: same, columns: undefined, now: 0 }

describe('text of others', () => {
  test.each([
    ['\u001b[31mred', '\\u001b[31mred'],
    ['a\r\n\tb', 'a\\r\\n\\tb'],
    ['\u009b2J', '\\u009b2J'],
    ['\u0007\u007f', '\\u0007\\u007f'],
    ['abc\u202edcba', 'abc\\u202edcba'],
    ['a\u2028b', 'a\\u2028b'],
    ['订单 é', '订单 é'],
  ])('%j cannot steer the terminal', (text, shown) => {
    expect(safe(text)).toBe(shown)
  })

  test('keeps its lines where it may have several', () => {
    expect(safeLines('a\r\nb\n\u001b')).toEqual(['a', 'b', '\\u001b'])
  })

  test('as JSON, it is escaped and still the same document', () => {
    const value = { text: '\u009b2J \u202e \u2028 \u001b \n 订单' }
    const written = jsonText(value)
    // eslint-disable-next-line no-control-regex -- control characters are just what this looks for
    expect(written).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/)
    expect(JSON.parse(written)).toEqual(value)
  })
})

describe('widths', () => {
  test.each([
    ['abc', 3],
    ['订单', 4],
    ['e\u0301', 1],
    ['🙂', 2],
  ])('%s', (text, columns) => {
    expect(width(text)).toBe(columns)
  })

  test.each([
    ['abcdef', 6, 'abcdef'],
    ['abcdef', 4, 'abc…'],
    ['订单订单', 5, '订单…'],
    ['订单订单', 4, '订…'],
  ])('%s cut to %i', (text, columns, shown) => {
    expect(cut(text, columns)).toBe(shown)
    expect(width(shown)).toBeLessThanOrEqual(columns)
  })
})

test.each([
  [0, '0ms'],
  [350.7, '350ms'],
  [45_000, '45s'],
  [192_000, '3m 12s'],
  [3_600_000, '1h'],
  [3_605_000, '1h'],
  [187_200_000, '2d 4h'],
  [-5, '0ms'],
])('%d ms are %s', (ms, text) => {
  expect(duration(ms)).toBe(text)
})

test('instants from now', () => {
  expect(age('1970-01-01T00:00:00.000Z', 61_000)).toBe('1m 1s')
  expect(until('1970-01-01T00:01:01.000Z', 0)).toBe('in 1m 1s')
  expect(until('1970-01-01T00:00:01.000Z', 1000)).toBe('now')
})

describe('tables', () => {
  const columns = [
    { title: 'N', cell: ({ n }: { n: number }) => String(n), right: true },
    { title: 'NAME', cell: ({ name }: { name: string }) => name },
    { title: 'TEXT', cell: ({ text }: { text: string }) => text },
  ]
  const rows = [
    { n: 5, name: '订单', text: 'first\nline' },
    { n: 12, name: 'a', text: 'x'.repeat(40) },
  ]

  test('are aligned, wide characters included', () => {
    expect(table(rows, columns, plain)).toBe(
      [' N  NAME  TEXT', ' 5  订单  first\\nline', `12  a     ${'x'.repeat(40)}`].join('\n'),
    )
  })

  test('have their last column cut on a terminal', () => {
    const lines = table(rows, columns, { ...plain, columns: 40 }).split('\n')
    expect(lines[2]).toBe(`12  a     ${'x'.repeat(29)}…`)
    // Too narrow to say anything: it may wrap.
    expect(table(rows, columns, { ...plain, columns: 20 })).toContain('x'.repeat(40))
  })

  test('fields leave out what is not there', () => {
    expect(
      fields(
        [
          ['a', '1'],
          ['long', '2'],
          ['b', undefined],
        ],
        plain,
      ),
    ).toBe('  a     1\n  long  2')
  })
})

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [8192, '8 kB'],
  [1_500_000, '1.4 MB'],
  [40 * 2 ** 20, '40 MB'],
  [3 * 2 ** 40, '3.0 TB'],
  [5000 * 2 ** 40, '5000 TB'],
])('%i bytes are %s', (count, text) => {
  expect(bytes(count)).toBe(text)
})
