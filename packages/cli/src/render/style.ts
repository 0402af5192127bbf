import { styleText } from 'node:util'
import type { Io } from '../io.ts'

type Format = Parameters<typeof styleText>[0]

/** How a text is dressed for the stream that it goes to, and how much room it has there. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly good: (text: string) => string
  readonly warn: (text: string) => string
  readonly bad: (text: string) => string
  /** Columns of the terminal; undefined where nothing needs to be cut. */
  readonly columns: number | undefined
  /** Milliseconds since the epoch, for ages. */
  readonly now: number
}

/** Colours only on a terminal, and not where `NO_COLOR` asks for none. */
export function styleFor(io: Io): Style {
  const { isTTY, columns } = io.stdout
  const coloured = isTTY && (io.env['NO_COLOR'] ?? '') === '' && io.env['TERM'] !== 'dumb'
  const paint = (format: Format) => (text: string) =>
    coloured ? styleText(format, text, { validateStream: false }) : text
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    good: paint('green'),
    warn: paint('yellow'),
    bad: paint('red'),
    columns: isTTY ? columns : undefined,
    now: io.now(),
  }
}
