import type { Clock } from '../core/clock.ts'
import { errorText, isTandemError, TandemError } from '../core/errors.ts'
import { checkNumber, checkOptions } from '../core/limits.ts'
import type { Act } from '../spi/admin-store.ts'

/** How many of a kind may be done, how fast, and whether at all. */
export interface ActOptions<Result> {
  /** Only says what would be done. Default false. */
  readonly dryRun?: boolean | undefined
  /** At most so many a second. Default: as fast as the store goes. */
  readonly rate?: number | undefined
  /** Ends the work before the next message; what was not tried is reported so. */
  readonly signal?: AbortSignal | undefined
  /** Called after each message. */
  readonly onResult?: ((result: Result) => void) | undefined
}

/** Why the work ended before the last message. */
export interface Stopped {
  readonly code: string
  readonly message: string
}

/** @throws TandemError `CONFIG_INVALID` when nobody is named */
export function checkAct(act: Act): Act {
  checkOptions('act', act, ['by', 'reason'])
  const { by, reason } = act
  if (typeof by !== 'string' || by.trim() === '') {
    throw new TandemError('CONFIG_INVALID', 'act: by must name who acts')
  }
  if (reason !== undefined && typeof reason !== 'string') {
    throw new TandemError('CONFIG_INVALID', 'act: reason must be a text, or be left out')
  }
  return reason === undefined ? { by } : { by, reason }
}

/**
 * Does `work` for each item, in order and at the rate. An error ends it: what fails for one message (the database is gone) fails for
 * the next as well, and what was done stays told.
 */
export async function actOnEach<Item, Result>(
  items: readonly Item[],
  options: ActOptions<Result>,
  clock: Clock,
  work: (item: Item) => Promise<Result>,
  untried: (item: Item) => Result,
): Promise<{ readonly results: readonly Result[]; readonly stopped: Stopped | null }> {
  checkOptions('options', options, ['dryRun', 'rate', 'signal', 'onResult'])
  const rate = checkNumber('rate', options.rate, { min: 0.001, default: Number.MAX_SAFE_INTEGER })
  const signal = options.signal ?? new AbortController().signal
  const began = clock.monotonic()
  const results: Result[] = []
  let stopped: Stopped | null = null
  for (const [index, item] of items.entries()) {
    const early = (index * 1000) / rate - (clock.monotonic() - began)
    if (early > 0) await clock.sleep(early, signal)
    if (signal.aborted) stopped ??= { code: 'ABORTED', message: 'stopped on request' }
    if (stopped === null) {
      try {
        results.push(await work(item))
      } catch (error) {
        // Nothing is done yet that an error could hide.
        if (results.length === 0) throw error
        stopped = isTandemError(error) ? error : { code: 'UNEXPECTED', message: errorText(error) }
        stopped = { code: stopped.code, message: stopped.message }
        results.push(untried(item))
      }
    } else {
      results.push(untried(item))
    }
    options.onResult?.(results.at(-1)!)
  }
  return { results, stopped }
}
