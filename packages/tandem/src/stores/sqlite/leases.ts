import type { LeaseSteps } from '../../spi/store.ts'
import { fenceOf, FORGET_AFTER, planExchange, wantedOf } from '../shared/leases.ts'
import { integer } from '../shared/rows.ts'
import type { SqliteContext } from './context.ts'

export function leaseSteps<Tx>({ driver, tables, now, run }: SqliteContext<Tx>): LeaseSteps {
  const { lease, process: known } = tables
  const sql = {
    seen: `INSERT INTO ${known} (id, host, pid, wanted, seen_at, expires_at) VALUES (?, ?, ?, ?, ${now}, ${now} + ?)
      ON CONFLICT (id) DO UPDATE SET wanted = excluded.wanted, seen_at = excluded.seen_at, expires_at = excluded.expires_at
      RETURNING seen_at`,
    wanted: `SELECT wanted FROM ${known} WHERE expires_at > ?`,
    rows: `SELECT name, owner, token, expires_at FROM ${lease} WHERE name IN (SELECT value FROM json_each(?))`,
    take: `INSERT INTO ${lease} (name, owner, token, expires_at) SELECT value, ?, 1, ? FROM json_each(?) WHERE true
      ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, token = token + 1, expires_at = excluded.expires_at`,
    renew: `UPDATE ${lease} SET expires_at = ? WHERE owner = ? AND name IN (SELECT value FROM json_each(?))`,
    giveUp: `UPDATE ${lease} SET owner = NULL, expires_at = 0
      WHERE owner = ? AND name NOT IN (SELECT value FROM json_each(?))`,
    mine: `SELECT name, token FROM ${lease} WHERE owner = ? AND expires_at > ? ORDER BY name`,
    forget: `DELETE FROM ${known} WHERE id IN (
      SELECT id FROM ${known} WHERE expires_at < ? LIMIT 100)`,
    leave: `DELETE FROM ${known} WHERE id = ?`,
  }

  return {
    exchange(process, groups, timeToLive) {
      const ttl = Math.round(timeToLive)
      return driver.transaction(async (tx) => {
        const seen = await run(tx, sql.seen, [process.id, process.host, process.pid, wantedOf(groups), ttl])
        // One instant for the whole exchange.
        const at = integer(seen.rows[0] ?? {}, 'seen_at')
        const { rows: processes } = await run(tx, sql.wanted, [at])
        const { rows: leases } = await run(tx, sql.rows, [JSON.stringify(groups.flat())])
        const { take, renew } = planExchange({ process, groups, leases, processes, at })
        const keep = JSON.stringify([...take, ...renew])
        // What is beyond the share, and what the process does not want any more.
        await run(tx, sql.giveUp, [process.id, keep])
        if (renew.length > 0) await run(tx, sql.renew, [at + ttl, process.id, JSON.stringify(renew)])
        if (take.length > 0) await run(tx, sql.take, [process.id, at + ttl, JSON.stringify(take)])
        await run(tx, sql.forget, [at - FORGET_AFTER])
        return (await run(tx, sql.mine, [process.id, at])).rows.map(fenceOf)
      })
    },

    release(process) {
      return driver.transaction(async (tx) => {
        await run(tx, sql.giveUp, [process.id, '[]'])
        await run(tx, sql.leave, [process.id])
      })
    },
  }
}
