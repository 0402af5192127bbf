import type { AdminSteps } from '../../spi/admin-store.ts'
import { overviewOf, SIZED_TABLES } from '../shared/overview.ts'
import { anyText, ms, type PostgresContext } from './context.ts'

export function createOverview<Tx>({ schema, tables, now, read }: PostgresContext<Tx>): AdminSteps['overview'] {
  const { outbox, outbox_held: held, half, inbox, lease, process: processes } = tables
  const { inbox_failure: failure, inbox_attempt: attempt } = tables
  const since = (instant: string): string => `${ms(now)} - ${ms(instant)}`
  const firstRetrying = `(SELECT group_name, message_id FROM ${failure} WHERE state = 'retrying' ORDER BY seq LIMIT 1)`
  const sql = {
    single: `SELECT ${ms(now)} AS now, (SELECT max(version) FROM ${tables.schema_version}) AS version,
      (SELECT count(*)::int8 FROM ${outbox}) AS unsent,
      (SELECT greatest(0, ${ms(now)} - ${ms('written_at')}) FROM ${outbox} ORDER BY position LIMIT 1) AS oldest_age,
      (SELECT count(*)::int8 FROM (SELECT DISTINCT group_name, topic, key FROM ${failure} WHERE blocks) blocked) AS blocked_keys,
      (SELECT ${since('min(a.at)')} FROM ${attempt} a JOIN ${firstRetrying} f USING (group_name, message_id)) AS oldest_retrying,
      (SELECT ${since('min(prepared_at)')} FROM ${half} WHERE state IN ('prepared', 'undecided')) AS oldest_half,
      (SELECT ${since('min(died_at)')} FROM ${failure} WHERE state = 'dead') AS oldest_dead,
      (SELECT ${since('min(at)')} FROM ${inbox} WHERE state IN ('handled', 'discarded')) AS oldest_finished`,
    tables: `SELECT c.relname::text AS name, pg_catalog.pg_stat_get_live_tuples(c.oid)::int8 AS row_count,
        pg_catalog.pg_total_relation_size(c.oid)::int8 AS size
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text AND c.relname::text = ${anyText('$2')}`,
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
      tables: await read(sql.tables, [schema, JSON.stringify(SIZED_TABLES)]),
      processes: await read(sql.processes, []),
    })
  }
}
