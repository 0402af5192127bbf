import type { HalfAnswer } from '../../core/half-state.ts'
import { isTandemError, TandemError } from '../../core/errors.ts'
import type { Row } from '../../spi/driver.ts'
import type { HalfSteps } from '../../spi/store.ts'
import { text } from '../shared/rows.ts'
import { textsByCount } from '../shared/statements.ts'
import { idParam, minusMs, rowsOf, WHOLE, type MysqlContext } from './context.ts'

export interface BarrierSteps<Tx> extends Pick<HalfSteps<Tx>, 'insertBarrier' | 'closeBarrier'> {
  expireBarriers(olderThan: number, limit: number): Promise<number>
}

/**
 * The row that says whether a local transaction has committed. Who inserts second waits for the first transaction to end; a check that
 * waits too long has no answer.
 */
export function barrierSteps<Tx>({ tables, now, run, own }: MysqlContext<Tx>): BarrierSteps<Tx> {
  const { barrier, half } = tables
  const sql = {
    // One row changed: it is new. Two: it was there. So the server counts, whatever it was told to count for rows that stay as they are;
    // and a transaction that has changed the row sees it, however old its snapshot is.
    set: `INSERT INTO ${barrier} (id, decision, at) VALUES (?, ?, ${now})
      ON DUPLICATE KEY UPDATE again = ${barrier}.again + 1`,
    find: `SELECT decision FROM ${barrier} WHERE id = ?`,
    // A barrier is what a half message is decided by: it stays as long as that is there.
    expired: (limit: number) => `SELECT b.id FROM ${barrier} b FORCE INDEX (by_age)
      WHERE b.at < ${minusMs(now, WHOLE)} AND (SELECT 1 FROM ${half} h WHERE h.id = b.id LIMIT 1) IS NULL
      ORDER BY b.at LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
    expire: textsByCount(
      (count) => `DELETE b FROM ${barrier} b FORCE INDEX (PRIMARY) WHERE b.id IN (${rowsOf('?', count)})`,
    ),
  }

  const decisionOf = (rows: readonly Row[]): HalfAnswer | undefined => {
    const decision = rows[0]?.['decision']
    return decision === 'commit' || decision === 'rollback' ? decision : undefined
  }

  return {
    async insertBarrier(tx, id) {
      const { changed } = await run(tx, sql.set, [idParam(id), 'commit'])
      if (changed === 1) return
      if (decisionOf((await run(tx, sql.find, [idParam(id)])).rows) === 'rollback') {
        throw new TandemError(
          'BARRIER_CLOSED',
          `the local transaction of half message ${id} came too late: a check has answered "rollback" for it already`,
        )
      }
      throw new TandemError('CONFLICT', `half message ${id} has been used in a local transaction before`)
    },

    async closeBarrier(id, lockTimeout) {
      try {
        return await own(
          async (tx) => {
            const { changed } = await run(tx, sql.set, [idParam(id), 'rollback'])
            return changed === 1 ? 'rollback' : (decisionOf((await run(tx, sql.find, [idParam(id)])).rows) ?? 'unknown')
          },
          { lockTimeout },
        )
      } catch (error) {
        // Whoever holds the lock may be the local transaction, about to commit.
        if (isTandemError(error, 'STORE_BUSY')) return 'unknown'
        throw error
      }
    },

    expireBarriers(olderThan, limit) {
      return own(async (tx) => {
        const { rows } = await run(tx, sql.expired(limit), [Math.round(olderThan)])
        if (rows.length === 0) return 0
        const ids = rows.map((row) => text(row, 'id'))
        return (await run(tx, sql.expire(ids.length), ids)).changed
      })
    },
  }
}
