import type { FigureRecord } from './figures.ts'

const WIDTH = 860
const ROW = 26
const TOP = 46
const LABEL = 430
const BAR = 330

/** Colours that can be read on white and on black; the text takes that of the page's theme. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .soft { fill: #59636e }
  .ok { fill: #1a7f5a } .missed { fill: #c0392b } .open { fill: #59789c }
  .reach { stroke: #1f2328; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .soft { fill: #9aa4af }
    .ok { fill: #3fb68b } .missed { fill: #e5776b } .open { fill: #7fa3cc }
    .reach { stroke: #e6edf3 }
  }`

/**
 * The ratios that have a reach, one bar each. A bar is as long as the ratio is high, by its reach: the reaches stand below each other at
 * half of the width, and what is twice its reach or more fills the whole.
 */
export function renderChart(records: readonly FigureRecord[]): string {
  const rows = records.filter(({ unit, reach }) => unit === '' && reach?.startsWith('>= ') === true)
  const height = TOP + rows.length * ROW + 14
  const lines = rows.map((record, row) => renderRow(record, TOP + row * ROW))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Ratios and what they have to reach">
<style>${STYLE}
</style>
<text class="title" x="${LABEL - 10}" y="20" text-anchor="end">ratio</text>
<text class="title" x="${LABEL}" y="20">measured, by what it has to reach</text>
<text class="soft" x="${LABEL + BAR / 2}" y="38" text-anchor="middle">reach</text>
${lines.join('\n')}
</svg>
`
}

function renderRow({ bench, name, value, reach, ok }: FigureRecord, y: number): string {
  const goal = Number(reach?.slice('>= '.length))
  const length = Math.max(1, Math.min(1, value / goal / 2) * BAR)
  const state = ok === null ? 'open' : ok ? 'ok' : 'missed'
  const middle = y + ROW / 2 + 4
  const mark = LABEL + BAR / 2
  return [
    `<text x="${LABEL - 10}" y="${middle}" text-anchor="end">${escaped(`${bench}: ${name}`)}</text>`,
    `<rect class="${state}" x="${LABEL}" y="${y + 4}" width="${length.toFixed(1)}" height="${ROW - 8}" rx="2"/>`,
    `<line class="reach" x1="${mark}" x2="${mark}" y1="${y + 1}" y2="${y + ROW - 1}"/>`,
    `<text x="${LABEL + BAR + 8}" y="${middle}">${value.toFixed(2)} <tspan class="soft">/ ${goal}</tspan></text>`,
  ].join('\n')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
