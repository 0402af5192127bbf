import type { AdminSteps } from '../../spi/admin-store.ts'
import { overviewOf } from '../shared/overview.ts'
import { ms, type PostgresContext } from './context.ts'

export function createOverview<Tx>({ tables, now, read }: PostgresContext<Tx>): AdminSteps['overview'] {
  const { outbox, outbox_held: held, half, inbox, inbox_failure: failure, lease, process: processes } = tables
  const sql = {
    single: `SELECT ${ms(now)} AS now, (SELECT max(version) FROM ${tables.schema_version}) AS version,
      (SELECT count(*)::int8 FROM ${outbox}) AS unsent,
      (SELECT greatest(0, ${ms(now)} - ${ms('written_at')}) FROM ${outbox} ORDER BY position LIMIT 1) AS oldest_age,
      (SELECT count(*)::int8 FROM (SELECT DISTINCT group_name, topic, key FROM ${failure} WHERE blocks) blocked) AS blocked_keys`,
    held: `SELECT state, count(*)::int8 AS count FROM ${held} GROUP BY state`,
    half: `SELECT state, count(*)::int8 AS count FROM ${half} GROUP BY state`,
    // One statement, so that the totals and their parts are of one moment.
    inbox: `SELECT group_name, 'all' AS state, count(*)::int8 AS count FROM ${inbox} GROUP BY group_name
      UNION ALL SELECT group_name, state, count(*)::int8 FROM ${failure} GROUP BY group_name, state`,
    processes: `SELECT id, host, pid, ${ms('seen_at')} AS seen_at, expires_at > ${now} AS alive,
        coalesce((SELECT json_agg(l.name ORDER BY l.name)::text FROM ${lease} l
          WHERE l.owner = p.id AND l.expires_at > ${now}), '[]') AS leases
      FROM ${processes} p ORDER BY alive DESC, p.seen_at DESC`,
  }

  return async () => {
    const [single = {}] = await read(sql.single, [])
    return overviewOf({
      single,
      held: await read(sql.held, []),
      half: await read(sql.half, []),
      inbox: await read(sql.inbox, []),
      processes: await read(sql.processes, []),
    })
  }
}
