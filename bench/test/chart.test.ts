import { expect, test } from 'vitest'
import { renderChart } from '../src/harness/chart.ts'
import type { FigureRecord } from '../src/harness/figures.ts'

const ratio: FigureRecord = { bench: 'send', name: 'ratio', value: 0.8, unit: '', reach: '>= 0.8', ok: true }

/** The widths of the bars, and their classes. */
function bars(chart: string): readonly (readonly [string | undefined, number])[] {
  return [...chart.matchAll(/<rect class="(\w+)".* width="([\d.]+)"/g)].map(([, name, width]) => [name, Number(width)])
}

test('a ratio at its reach fills half of the width, and more than twice its reach no more than all', () => {
  const chart = renderChart([
    ratio,
    { ...ratio, value: 0.4, ok: false },
    { ...ratio, value: 9 },
    { ...ratio, ok: null },
  ])
  const [[, half] = [undefined, 0]] = bars(chart)
  expect(bars(chart)).toEqual([
    ['ok', half],
    ['missed', half / 2],
    ['ok', half * 2],
    ['open', half],
  ])
})

test('what is no ratio, or has nothing to reach, is left out', () => {
  const chart = renderChart([
    { ...ratio, unit: '1/s' },
    { ...ratio, reach: null },
    { ...ratio, reach: '<= 4' },
  ])
  expect(bars(chart)).toEqual([])
})

test('names cannot break the file', () => {
  const chart = renderChart([{ ...ratio, name: 'a < b & c' }])
  expect(chart).toContain('send: a &lt; b &amp; c')
})

test('it has colours for a dark page', () => {
  expect(renderChart([ratio])).toContain('@media (prefers-color-scheme: dark)')
})
