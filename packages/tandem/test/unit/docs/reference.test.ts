import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, TandemError } from '../../../src/core/errors.ts'

const read = (path: string): string => readFileSync(new URL(`../../../../../${path}`, import.meta.url), 'utf8')

/** The cells of the table rows whose first cell is code. */
function rowsOf(page: string): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

const firstWord = (cells: readonly string[]): string => /^`([^`]+)`/.exec(cells[0] ?? '')?.[1] ?? ''

describe('docs/reference', () => {
  it('lists exactly the error codes, and whether each is retryable', () => {
    const rows = rowsOf(read('docs/reference/errors.md'))
    expect(rows.map(firstWord)).toEqual([...ERROR_CODES])
    for (const cells of rows) {
      const code = firstWord(cells) as (typeof ERROR_CODES)[number]
      expect([code, cells[1]]).toEqual([code, new TandemError(code, '').retryable ? 'yes' : 'no'])
    }
  })

  it('lists exactly the events, with their fields', () => {
    const source = read('packages/tandem/src/core/events.ts')
    const body = /interface TandemEvents \{([\s\S]*?)\n\}/.exec(source)?.[1] ?? ''
    const declared = [...body.matchAll(/^ {2}'?([\w.]+)'?: \{\s*([^}]*?)\s*\}$/gm)].map(([, name, fields]) => [
      name,
      [...(fields ?? '').matchAll(/(\w+):/g)].map(([, field]) => field),
    ])
    expect(declared.length).toBeGreaterThan(10)
    const listed = rowsOf(read('docs/reference/events.md')).map((cells) => [
      firstWord(cells),
      [...(cells[1] ?? '').matchAll(/`(\w+)`/g)].map(([, field]) => field),
    ])
    expect(listed).toEqual(declared)
  })
})
