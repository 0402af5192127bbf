import type { AdminSteps, Overview } from '../../spi/admin-store.ts'
import { overviewOf } from '../shared/overview.ts'
import type { SqliteContext } from './context.ts'

export function createOverview<Tx>({ tables, now, read }: SqliteContext<Tx>): AdminSteps['overview'] {
  const { outbox, outbox_held: held, half, inbox, inbox_failure: failure, lease, process: processes } = tables
  const sql = {
    single: `SELECT ${now} AS now, (SELECT max(version) FROM ${tables.schema_version}) AS version,
      (SELECT count(*) FROM ${outbox}) AS unsent,
      (SELECT max(0, ${now} - written_at) FROM ${outbox} ORDER BY position LIMIT 1) AS oldest_age,
      (SELECT count(*) FROM (SELECT DISTINCT group_name, topic, key FROM ${failure} WHERE blocks = 1)) AS blocked_keys`,
    held: `SELECT state, count(*) AS count FROM ${held} GROUP BY state`,
    half: `SELECT state, count(*) AS count FROM ${half} GROUP BY state`,
    // One statement, so that the totals and their parts are of one moment.
    inbox: `SELECT group_name, 'all' AS state, count(*) AS count FROM ${inbox} GROUP BY group_name
      UNION ALL SELECT group_name, state, count(*) FROM ${failure} GROUP BY group_name, state`,
    processes: `SELECT id, host, pid, seen_at, expires_at > ${now} AS alive, (
        SELECT json_group_array(name) FROM (
          SELECT name FROM ${lease} WHERE owner = p.id AND expires_at > ${now} ORDER BY name)) AS leases
      FROM ${processes} p ORDER BY alive DESC, seen_at DESC`,
  }

  return async (): Promise<Overview> => {
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
