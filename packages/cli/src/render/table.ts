import type { Style } from './style.ts'
import { cut, safe, width } from './text.ts'

export interface Column<Row> {
  readonly title: string
  /** The text of a cell; control characters in it are made visible. */
  readonly cell: (row: Row, style: Style) => string
  /** Dresses a cell after it was laid out. */
  readonly paint?: (row: Row, style: Style) => ((text: string) => string) | undefined
  readonly right?: boolean
  /** Left out when all its cells are empty. */
  readonly optional?: boolean
}

const GAP = '  '

/** Rows in aligned columns under a line of titles. On a terminal the last column is cut to its width. */
export function table<Row>(rows: readonly Row[], wanted: readonly Column<Row>[], style: Style): string {
  const columns = wanted.filter(
    (column) => column.optional !== true || rows.some((row) => column.cell(row, style) !== ''),
  )
  const cells = rows.map((row) => columns.map((column) => safe(column.cell(row, style))))
  const widths = columns.map((column, i) => Math.max(width(column.title), ...cells.map((line) => width(line[i]!))))
  const room = lastRoom(widths, style.columns)
  const layOut = (texts: readonly string[], paint: (text: string, i: number) => string): string =>
    texts
      .map((text, i) => {
        const last = i === columns.length - 1
        const shown = last ? cut(text, room) : text
        const padding = ' '.repeat(Math.max(0, (last ? 0 : widths[i]!) - width(shown)))
        const painted = paint(shown, i)
        return columns[i]!.right === true && !last ? padding + painted : painted + padding
      })
      .join(GAP)
      .trimEnd()
  const head = layOut(
    columns.map((column) => column.title),
    (text) => style.dim(text),
  )
  const body = cells.map((line, r) =>
    layOut(line, (text, i) => (columns[i]!.paint?.(rows[r]!, style) ?? ((same: string) => same))(text)),
  )
  return [head, ...body].join('\n')
}

function lastRoom(widths: readonly number[], columns: number | undefined): number {
  if (columns === undefined) return Infinity
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + GAP.length, 0)
  // In a narrow terminal the last column wraps; cut to nothing, it would say nothing.
  return columns - before < 20 ? Infinity : columns - before
}

/** Names and values in two columns, indented. Values may have several lines. */
export function fields(pairs: readonly (readonly [name: string, value: string | undefined])[], style: Style): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined)
  const room = Math.max(...shown.map(([name]) => width(name)))
  return shown.map(([name, value]) => `  ${style.dim(name)}${' '.repeat(room - width(name))}  ${value}`).join('\n')
}
