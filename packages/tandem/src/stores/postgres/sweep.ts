import type { Row, SqlValue } from '../../spi/driver.ts'
import { integer, optionalInteger } from '../shared/rows.ts'
import { instantOf } from './context.ts'

/** Deletes up to `limit` rows that are older than so many milliseconds, and says how many. */
export type Sweep = (olderThan: number, limit: number) => Promise<number>

/**
 * A clean-up that goes on where its last batch ended. What that has deleted stays in the index until PostgreSQL has vacuumed it, which an old
 * snapshot can put off for hours: from the beginning, each batch would have to pass what all before it have deleted. The first batch that
 * is not full ends the round; the next one begins at the beginning, where rows may be that somebody had locked.
 *
 * @param sql its parameters are the age, the limit, and where to go on (`fromHere`); it gives `gone`, and `last`, the latest instant that
 * it has deleted
 */
export function createSweep(
  read: (sql: string, params: readonly SqlValue[]) => Promise<readonly Row[]>,
  sql: string,
): Sweep {
  let from: number | undefined
  return async (olderThan, limit) => {
    const [row = {}] = await read(sql, [olderThan, limit, from ?? null])
    const gone = integer(row, 'gone')
    from = gone < limit ? undefined : optionalInteger(row, 'last')
    return gone
  }
}

/** The condition that a row is not before the place where the last batch ended. */
export function fromHere(column: string): string {
  return `${column} >= coalesce(${instantOf('$3')} - interval '1 millisecond', '-infinity')`
}
