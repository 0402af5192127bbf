import { writeFile } from 'node:fs/promises'
import { renderChart } from './chart.ts'
import { toRecord, type Figure, type FigureRecord } from './figures.ts'
import { withFolder } from './folder.ts'
import { renderTable } from './table.ts'

export interface BenchContext {
  /** A folder of its own, empty, removed afterwards. */
  readonly folder: string
  /** A run of a second or two that only shows that the bench works: do less of everything. */
  readonly slice: boolean
  /** A connection string of the user's own server; undefined: the bench starts one. */
  readonly database: string | undefined
  /** For benches whose question is what becomes of something in so much time. */
  readonly minutes: number
}

export interface Bench {
  readonly name: string
  /** What is measured, in a sentence. */
  readonly title: string
  readonly run: (context: BenchContext) => Promise<readonly Figure[]>
}

export interface Suite {
  readonly name: string
  readonly title: string
  readonly benches: readonly Bench[]
}

export interface RunOptions {
  readonly slice: boolean
  readonly database: string | undefined
  readonly minutes: number
  /** File that gets all figures as JSON. */
  readonly json: string | undefined
  /** File that gets the ratios as a chart (SVG). */
  readonly chart: string | undefined
  readonly print: (text: string) => void
}

/**
 * Runs benches one after the other and prints a table of each.
 *
 * @returns whether every reach is met; always true for a slice, which judges nothing
 */
export async function runBenches(benches: readonly Bench[], options: RunOptions): Promise<boolean> {
  const { slice, database, minutes, json, chart, print } = options
  const records: FigureRecord[] = []
  for (const { name, title, run } of benches) {
    print(`\n${name}: ${title}`)
    const figures = await withFolder((folder) => run({ folder, slice, database, minutes }))
    const own = figures.map((figure) => toRecord(name, figure, !slice))
    records.push(...own)
    print(renderTable(own))
    // After each, so that a run which is broken off has not been in vain.
    if (chart !== undefined) await writeFile(chart, renderChart(records))
    if (json !== undefined) await writeFile(json, `${JSON.stringify(records, undefined, 2)}\n`)
  }
  const missed = records.filter(({ ok }) => ok === false)
  print('')
  if (slice) print('A slice: too short to judge the figures. Run without --slice for that.')
  else if (missed.length === 0) print('Every reach is met.')
  else
    print(
      `Missed: ${missed.map(({ bench, name, value, reach }) => `${bench}: ${name} (${value}, ${reach})`).join('; ')}`,
    )
  return missed.length === 0
}
