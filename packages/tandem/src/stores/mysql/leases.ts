import type { LeaseSteps } from '../../spi/store.ts'
import { fenceOf, FORGET_AFTER, planExchange, wantedOf } from '../shared/leases.ts'
import { integer, text } from '../shared/rows.ts'
import { textsByCount } from '../shared/statements.ts'
import { INSTANT, ms, rowsOf, type MysqlContext } from './context.ts'

export function leaseSteps<Tx>({ tables, now, run, own }: MysqlContext<Tx>): LeaseSteps {
  const { lease, process: known } = tables
  const mineFirst = `SELECT name, owner, token, ${ms('expires_at')} AS expires_at FROM ${lease} FORCE INDEX (PRIMARY)`
  const named = (count: number): string => `name IN (${rowsOf('?', count)})`
  const sql = {
    now: `SELECT ${ms(now)} AS now`,
    seen: `INSERT INTO ${known} (id, host, pid, wanted, seen_at, expires_at) VALUES (?, ?, ?, ?, ${INSTANT}, ${INSTANT})
      ON DUPLICATE KEY UPDATE wanted = ?, seen_at = ${INSTANT}, expires_at = ${INSTANT}`,
    // In one order, so that no two processes wait for each other.
    rows: textsByCount((count) => `${mineFirst} WHERE ${named(count)} ORDER BY name FOR UPDATE`),
    mineToo: `SELECT name FROM ${lease} WHERE owner = ? ORDER BY name`,
    add: textsByCount(
      (
        count,
      ) => `INSERT INTO ${lease} (name, token, expires_at) VALUES ${rowsOf("(?, 0, TIMESTAMP'1970-01-01 00:00:00')", count)}
        ON DUPLICATE KEY UPDATE name = ${lease}.name`,
    ),
    wanted: `SELECT wanted FROM ${known} WHERE expires_at > ${INSTANT}`,
    take: textsByCount(
      (count) =>
        `UPDATE ${lease} FORCE INDEX (PRIMARY) SET owner = ?, token = token + 1, expires_at = ${INSTANT} WHERE ${named(count)}`,
    ),
    renew: textsByCount(
      (count) =>
        `UPDATE ${lease} FORCE INDEX (PRIMARY) SET expires_at = ${INSTANT} WHERE owner = ? AND ${named(count)}`,
    ),
    giveUp: textsByCount(
      (count) =>
        `UPDATE ${lease} FORCE INDEX (PRIMARY) SET owner = NULL, expires_at = TIMESTAMP'1970-01-01 00:00:00' WHERE owner = ? AND ${named(count)}`,
    ),
    mine: `SELECT name, token FROM ${lease} WHERE owner = ? AND expires_at > ${INSTANT} ORDER BY name`,
    forgotten: `SELECT id FROM ${known} WHERE expires_at < ${INSTANT} LIMIT 100 FOR UPDATE SKIP LOCKED`,
    forget: textsByCount(
      (count) => `DELETE p FROM ${known} p FORCE INDEX (PRIMARY) WHERE p.id IN (${rowsOf('?', count)})`,
    ),
  }

  /** The names of the leases that a process holds. Only the process itself adds to them. */
  const namesOf = async (tx: Tx, id: string): Promise<readonly string[]> =>
    (await run(tx, sql.mineToo, [id])).rows.map((row) => text(row, 'name'))

  return {
    exchange(process, groups, timeToLive) {
      const ttl = Math.round(timeToLive)
      return own(async (tx) => {
        // One instant for the whole exchange. From a moment before the locks: what is taken ends rather too early than too late.
        const at = integer((await run(tx, sql.now, [])).rows[0] ?? {}, 'now')
        const life = [wantedOf(groups), at, at + ttl]
        await run(tx, sql.seen, [process.id, process.host, process.pid, ...life, ...life])
        const names = [...new Set([...groups.flat(), ...(await namesOf(tx, process.id))])].toSorted()
        const lock = async (): Promise<readonly Readonly<Record<string, unknown>>[]> =>
          names.length === 0 ? [] : (await run(tx, sql.rows(names.length), names)).rows
        let leases = await lock()
        const there = new Set(leases.map((row) => row['name']))
        const missing = names.filter((name) => !there.has(name))
        if (missing.length > 0) {
          await run(tx, sql.add(missing.length), missing)
          leases = await lock()
        }
        // With the rows locked: whoever wants the same and was here before is to be seen.
        const { rows: processes } = await run(tx, sql.wanted, [at])
        const { take, renew } = planExchange({ process, groups, leases, processes, at })
        const keep = new Set([...take, ...renew])
        // What is beyond the share, and what the process does not want any more.
        const surplus = leases
          .filter(({ owner, name }) => owner === process.id && !keep.has(name as string))
          .map((row) => text(row, 'name'))
        if (surplus.length > 0) await run(tx, sql.giveUp(surplus.length), [process.id, ...surplus])
        if (renew.length > 0) await run(tx, sql.renew(renew.length), [at + ttl, process.id, ...renew])
        if (take.length > 0) await run(tx, sql.take(take.length), [process.id, at + ttl, ...take])
        const { rows: forgotten } = await run(tx, sql.forgotten, [at - FORGET_AFTER])
        if (forgotten.length > 0) {
          const gone = forgotten.map((row) => text(row, 'id'))
          await run(tx, sql.forget(gone.length), gone)
        }
        return (await run(tx, sql.mine, [process.id, at])).rows.map(fenceOf)
      })
    },

    async release(process) {
      await own(async (tx) => {
        const names = await namesOf(tx, process.id)
        if (names.length > 0) {
          await run(tx, sql.rows(names.length), names)
          await run(tx, sql.giveUp(names.length), [process.id, ...names])
        }
        await run(tx, sql.forget(1), [process.id])
      })
    },
  }
}
