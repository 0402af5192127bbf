import type { HalfAnswer } from '../../core/half-state.ts'
import { isTandemError, TandemError } from '../../core/errors.ts'
import type { Row } from '../../spi/driver.ts'
import type { HalfSteps } from '../../spi/store.ts'
import { clean, ms, ROW_BY_ROW, type PostgresContext } from './context.ts'
import { createSweep, fromHere, type Sweep } from './sweep.ts'

export interface BarrierSteps<Tx> extends Pick<HalfSteps<Tx>, 'insertBarrier' | 'closeBarrier'> {
  readonly expireBarriers: Sweep
}

/**
 * The row that says whether a local transaction has committed. Who inserts second waits for the first transaction to end; a check that
 * waits too long has no answer.
 */
export function barrierSteps<Tx>({ tables, now, read, run, own }: PostgresContext<Tx>): BarrierSteps<Tx> {
  const { barrier, half } = tables
  const sql = {
    set: `INSERT INTO ${barrier} (id, decision, at) VALUES ($1::text, $2::text, ${now}) ON CONFLICT (id) DO NOTHING`,
    find: `SELECT decision FROM ${barrier} WHERE id = $1::text`,
    // A barrier is what a half message is decided by: it stays as long as that is there.
    expire: `WITH gone AS (DELETE FROM ${barrier} WHERE id = ANY (ARRAY (
        SELECT b.id FROM ${barrier} b WHERE b.at < ${now} - $1::float8 * interval '1 millisecond' AND ${fromHere('b.at')}
          AND NOT EXISTS (SELECT 1 FROM ${half} h WHERE h.id = b.id ${ROW_BY_ROW})
        ORDER BY b.at LIMIT $2::int4 FOR UPDATE OF b SKIP LOCKED)) RETURNING at)
      SELECT count(*)::int4 AS gone, ${ms('max(at)')} AS last FROM gone`,
  }

  const decisionOf = (rows: readonly Row[]): HalfAnswer | undefined => {
    const decision = rows[0]?.['decision']
    return decision === 'commit' || decision === 'rollback' ? decision : undefined
  }

  return {
    async insertBarrier(tx, id) {
      const { changed } = await run(tx, sql.set, [clean(id), 'commit'])
      if (changed > 0) return
      if (decisionOf((await run(tx, sql.find, [clean(id)])).rows) === 'rollback') {
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
            const { changed } = await run(tx, sql.set, [clean(id), 'rollback'])
            return changed > 0 ? 'rollback' : (decisionOf((await run(tx, sql.find, [clean(id)])).rows) ?? 'unknown')
          },
          { lockTimeout },
        )
      } catch (error) {
        // Whoever holds the lock may be the local transaction, about to commit.
        if (isTandemError(error, 'STORE_BUSY')) return 'unknown'
        throw error
      }
    },

    expireBarriers: createSweep(read, sql.expire),
  }
}
