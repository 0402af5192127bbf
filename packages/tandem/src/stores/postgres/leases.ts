import type { LeaseSteps } from '../../spi/store.ts'
import { fenceOf, FORGET_AFTER, planExchange, wantedOf } from '../shared/leases.ts'
import { integer } from '../shared/rows.ts'
import { anyText, instantOf, ms, plusMs, type PostgresContext } from './context.ts'

export function leaseSteps<Tx>({ tables, now, run, own }: PostgresContext<Tx>): LeaseSteps {
  const { lease, process: known } = tables
  // In one order, so that no two processes wait for each other.
  const locked = `SELECT name FROM ${lease} WHERE owner = $1::text`
  const sql = {
    seen: `INSERT INTO ${known} (id, host, pid, wanted, seen_at, expires_at)
      VALUES ($1::text, $2::text, $3::int4, $4::text, ${now}, ${plusMs(now, '$5')})
      ON CONFLICT (id) DO UPDATE SET wanted = excluded.wanted, seen_at = excluded.seen_at, expires_at = excluded.expires_at
      RETURNING ${ms('seen_at')} AS seen_at`,
    rows: `SELECT name, owner, token::int8 AS token, ${ms('expires_at')} AS expires_at FROM ${lease}
      WHERE name = ${anyText('$1')} OR owner = $2::text ORDER BY name FOR UPDATE`,
    add: `INSERT INTO ${lease} (name, token, expires_at) SELECT value, 0, ${instantOf('0')}
      FROM json_array_elements_text($1::text::json) ORDER BY value COLLATE "C" ON CONFLICT (name) DO NOTHING`,
    wanted: `SELECT wanted FROM ${known} WHERE expires_at > ${instantOf('$1')}`,
    take: `UPDATE ${lease} SET owner = $1::text, token = token + 1, expires_at = ${instantOf('$2')}
      WHERE name = ${anyText('$3')}`,
    renew: `UPDATE ${lease} SET expires_at = ${instantOf('$2')} WHERE owner = $1::text AND name = ${anyText('$3')}`,
    giveUp: `UPDATE ${lease} SET owner = NULL, expires_at = ${instantOf('0')}
      WHERE owner = $1::text AND name <> ALL (ARRAY (SELECT json_array_elements_text($2::text::json)))`,
    mine: `SELECT name, token::int8 AS token FROM ${lease}
      WHERE owner = $1::text AND expires_at > ${instantOf('$2')} ORDER BY name`,
    forget: `DELETE FROM ${known} WHERE id = ANY (ARRAY (
      SELECT id FROM ${known} WHERE expires_at < ${instantOf('$1')} LIMIT 100 FOR UPDATE SKIP LOCKED))`,
    leave: `WITH mine AS (${locked} ORDER BY name FOR UPDATE),
        free AS (UPDATE ${lease} l SET owner = NULL, expires_at = ${instantOf('0')} FROM mine WHERE l.name = mine.name)
      DELETE FROM ${known} WHERE id = $1::text`,
  }

  return {
    exchange(process, groups, timeToLive) {
      const ttl = Math.round(timeToLive)
      const names = [...new Set(groups.flat())]
      return own(async (tx) => {
        const seen = await run(tx, sql.seen, [process.id, process.host, process.pid, wantedOf(groups), ttl])
        // One instant for the whole exchange. From a moment before the locks: what is taken ends rather too early than too late.
        const at = integer(seen.rows[0] ?? {}, 'seen_at')
        const ask = [JSON.stringify(names), process.id]
        let { rows: leases } = await run(tx, sql.rows, ask)
        const there = new Set(leases.map((row) => row['name']))
        const missing = names.filter((name) => !there.has(name))
        if (missing.length > 0) {
          await run(tx, sql.add, [JSON.stringify(missing)])
          leases = (await run(tx, sql.rows, ask)).rows
        }
        // With the rows locked: whoever wants the same and was here before is to be seen.
        const { rows: processes } = await run(tx, sql.wanted, [at])
        const { take, renew } = planExchange({ process, groups, leases, processes, at })
        const keep = new Set([...take, ...renew])
        // What is beyond the share, and what the process does not want any more.
        if (leases.some(({ owner, name }) => owner === process.id && !keep.has(name as string))) {
          await run(tx, sql.giveUp, [process.id, JSON.stringify([...keep])])
        }
        if (renew.length > 0) await run(tx, sql.renew, [process.id, at + ttl, JSON.stringify(renew)])
        if (take.length > 0) await run(tx, sql.take, [process.id, at + ttl, JSON.stringify(take)])
        await run(tx, sql.forget, [at - FORGET_AFTER])
        return (await run(tx, sql.mine, [process.id, at])).rows.map(fenceOf)
      })
    },

    async release(process) {
      await own((tx) => run(tx, sql.leave, [process.id]))
    },
  }
}
