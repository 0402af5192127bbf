import { TandemError } from '../../core/errors.ts'
import type { Page } from '../../spi/admin-store.ts'

const LAST = Number.MAX_SAFE_INTEGER

/** Lists are in descending order of a number that a row never changes, so that a page goes on exactly where the one before ended. */
export function after(page: Page): number {
  return page.after === undefined ? LAST : numberOf(page.after, page.after)
}

/** The same for lists that are ordered by an instant first. */
export function afterInstant(page: Page): readonly [instant: number, seq: number] {
  if (page.after === undefined) return [LAST, LAST]
  const [instant, seq] = page.after.split('.')
  return [numberOf(instant, page.after), numberOf(seq, page.after)]
}

function numberOf(text: string | undefined, cursor: string): number {
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text)
  throw new TandemError('CONFIG_INVALID', `the cursor ${JSON.stringify(cursor)} is none that this list gave out`)
}
