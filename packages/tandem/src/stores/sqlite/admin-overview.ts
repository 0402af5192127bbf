import type { AdminSteps, Overview } from '../../spi/admin-store.ts'
import { overviewOf, SIZED_TABLES } from '../shared/overview.ts'
import type { SqliteContext } from './context.ts'

export function createOverview<Tx>({ tables, now, read }: SqliteContext<Tx>): AdminSteps['overview'] {
  const { outbox, outbox_held: held, half, inbox, lease, process: processes } = tables
  const { inbox_failure: failure, inbox_attempt: attempt } = tables
  const firstRetrying = `(SELECT group_name, message_id FROM ${failure} WHERE state = 'retrying' ORDER BY seq LIMIT 1)`
  const sql = {
    single: `SELECT ${now} AS now, (SELECT max(version) FROM ${tables.schema_version}) AS version,
      (SELECT count(*) FROM ${outbox}) AS unsent,
      (SELECT max(0, ${now} - written_at) FROM ${outbox} ORDER BY position LIMIT 1) AS oldest_age,
      (SELECT count(*) FROM (SELECT DISTINCT group_name, topic, key FROM ${failure} WHERE blocks = 1)) AS blocked_keys,
      (SELECT ${now} - min(a.at) FROM ${attempt} a JOIN ${firstRetrying} f USING (group_name, message_id)) AS oldest_retrying,
      (SELECT ${now} - min(prepared_at) FROM ${half} WHERE state IN ('prepared', 'undecided')) AS oldest_half,
      (SELECT ${now} - min(died_at) FROM ${failure} WHERE state = 'dead') AS oldest_dead,
      (SELECT ${now} - at FROM ${inbox} WHERE seq > 0 ORDER BY seq LIMIT 1) AS oldest_finished,
      (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) AS size`,
    tables: SIZED_TABLES.map(
      (name) => `SELECT '${name}' AS name, count(*) AS row_count, NULL AS size FROM ${tables[name]}`,
    ).join(' UNION ALL '),
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
      tables: await read(sql.tables, []),
      processes: await read(sql.processes, []),
    })
  }
}
