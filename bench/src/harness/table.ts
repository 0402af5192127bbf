import type { FigureRecord } from './figures.ts'

/** The lines as a table of plain text. */
export function renderTable(records: readonly FigureRecord[]): string {
  const head = ['figure', 'value', 'unit', 'reach', '']
  const rows = records.map(({ name, value, unit, reach, ok }) => [
    name,
    formatNumber(value),
    unit,
    reach ?? '',
    reach === null || ok === null ? '' : ok ? 'ok' : 'MISSED',
  ])
  const widths = head.map((title, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? title).length)))
  const line = (row: readonly string[]): string =>
    row
      // Numbers stand right, so that their digits are below each other.
      .map((cell, column) => (column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

/** Whole numbers from 1,000 on; three figures that count below. */
export function formatNumber(value: number): string {
  const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3))
  return rounded.toLocaleString('en-US', { maximumFractionDigits: 6 })
}
