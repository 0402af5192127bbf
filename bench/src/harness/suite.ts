import { writeFile } from 'node:fs/promises'
import { toRecord, type Figure, type FigureRecord } from './figures.ts'
import { withFolder } from './folder.ts'
import { renderTable } from './table.ts'

export interface BenchContext {
  /** A folder of its own, empty, removed afterwards. */
  readonly folder: string
  /** A run of a second or two that only shows that the bench works: do less of everything. */
  readonly slice: boolean
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
  /** File that gets all figures as JSON. */
  readonly json: string | undefined
  readonly print: (text: string) => void
}

/**
 * Runs benches one after the other and prints a table of each.
 *
 * @returns whether every reach is met; always true for a slice, which judges nothing
 */
export async function runBenches(benches: readonly Bench[], options: RunOptions): Promise<boolean> {
  const { slice, json, print } = options
  const records: FigureRecord[] = []
  for (const { name, title, run } of benches) {
    print(`\n${name}: ${title}`)
    const figures = await withFolder((folder) => run({ folder, slice }))
    const own = figures.map((figure) => toRecord(figure, !slice))
    records.push(...own)
    print(renderTable(own))
  }
  if (json !== undefined) await writeFile(json, `${JSON.stringify(records, undefined, 2)}\n`)
  const missed = records.filter(({ ok }) => ok === false)
  print('')
  if (slice) print('A slice: too short to judge the figures. Run without --slice for that.')
  else if (missed.length === 0) print('Every reach is met.')
  else print(`Missed: ${missed.map(({ name, value, reach }) => `${name} (${value}, ${reach})`).join('; ')}`)
  return missed.length === 0
}
