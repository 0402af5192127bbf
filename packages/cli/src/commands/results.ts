import type { Stopped } from 'tandem/admin'
import type { Style } from '../render/style.ts'
import { table } from '../render/table.ts'
import { safe } from '../render/text.ts'

export interface ResultRow {
  readonly name: string
  readonly outcome: string
  readonly note: string
}

const SHOWN = 20

/** How an act on many messages went: what came of how many, and those that it did not reach. */
export function resultsText(rows: readonly ResultRow[], wanted: string, stopped: Stopped | null, style: Style): string {
  const counts = new Map<string, number>()
  for (const { outcome } of rows) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  const summary = [...counts].map(([outcome, count]) => {
    const text = `${count} ${outcome}`
    return outcome === wanted ? style.good(text) : style.warn(text)
  })
  const lines = [summary.join(', ')]
  if (stopped !== null) lines.push(style.bad(`stopped: ${safe(stopped.message)} (${stopped.code})`))
  const others = rows.filter(({ outcome }) => outcome !== wanted)
  if (others.length > 0) {
    const columns = [
      { title: 'MESSAGE', cell: (row: ResultRow) => row.name },
      { title: 'OUTCOME', cell: (row: ResultRow) => row.outcome },
      { title: 'WHY', cell: (row: ResultRow) => row.note, optional: true },
    ]
    lines.push(table(others.slice(0, SHOWN), columns, style))
    if (others.length > SHOWN) lines.push(style.dim(`… and ${others.length - SHOWN} more; --json has all`))
  }
  return lines.join('\n')
}
