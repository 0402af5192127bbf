import { errorText, isTandemError } from 'tandem/admin'
import { safe, safeLines } from './render/text.ts'

/** The command was called in a way that makes no sense: exit code 2. */
export class UsageError extends Error {}

/** The person at the terminal said no: nothing was done. */
export class Declined extends Error {}

export const EXIT_OK = 0
export const EXIT_FAILED = 1
export const EXIT_USAGE = 2

export interface ErrorView {
  /** A code of `TandemError`, or `USAGE`, `DECLINED`, `UNEXPECTED`. */
  readonly code: string
  readonly message: string
}

export function viewError(error: unknown): ErrorView {
  if (error instanceof UsageError) return { code: 'USAGE', message: error.message }
  if (error instanceof Declined) return { code: 'DECLINED', message: error.message }
  if (isTandemError(error)) return { code: error.code, message: error.message }
  return { code: 'UNEXPECTED', message: errorText(error) }
}

/** One line for a person; the stack and the causes only on request. */
export function errorLines(error: unknown, verbose: boolean): string {
  const { code, message } = viewError(error)
  const known = code === 'USAGE' || code === 'DECLINED'
  const hint = code === 'UNEXPECTED' && !verbose ? '; --verbose shows where' : ''
  const line = `tandem: ${safe(message)}${hint}${known ? '' : ` (${code})`}\n`
  if (!verbose) return line
  const more: string[] = []
  for (let each = error; each instanceof Error; each = each.cause)
    more.push(...safeLines(each.stack ?? errorText(each)))
  return `${line}${more.map((each) => `  ${each}\n`).join('')}`
}
