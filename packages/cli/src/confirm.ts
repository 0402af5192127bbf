import { Declined, UsageError } from './errors.ts'
import type { Io } from './io.ts'
import { safe } from './render/text.ts'

const SHOWN = 5

export interface Question {
  /** What is about to happen, as a full sentence. */
  readonly what: string
  /** What it happens to. */
  readonly items: readonly string[]
  readonly yes: boolean | undefined
}

/**
 * Asks before something that cannot be taken back, or that may be more than was meant.
 *
 * @throws UsageError where nobody can be asked; Declined when the answer is not yes
 */
export async function confirm(io: Io, { what, items, yes }: Question): Promise<void> {
  if (yes === true) return
  if (io.ask === undefined) throw new UsageError(`${what} There is nobody to ask: add --yes to do it`)
  const shown = items.slice(0, SHOWN).map((item) => `  ${safe(item)}\n`)
  const rest = items.length > SHOWN ? `  … and ${items.length - SHOWN} more\n` : ''
  const answer = await io.ask(`${safe(what)}\n${shown.join('')}${rest}Go on? [y/N] `)
  if (!/^y(es)?$/i.test(answer.trim())) throw new Declined('nothing was done')
}
