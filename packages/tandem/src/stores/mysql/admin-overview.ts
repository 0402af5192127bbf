import type { AdminSteps } from '../../spi/admin-store.ts'
import { overviewOf, SIZED_TABLES } from '../shared/overview.ts'
import { text } from '../shared/rows.ts'
import { ms, type MysqlContext } from './context.ts'

export function createOverview<Tx>({ prefix, tables, now, read }: MysqlContext<Tx>): AdminSteps['overview'] {
  const { outbox, outbox_held: held, half, inbox, lease, process: processes } = tables
  const { inbox_failure: failure, inbox_attempt: attempt } = tables
  const since = (instant: string): string => `${ms(now)} - ${ms(instant)}`
  const sql = {
    single: `SELECT ${ms(now)} AS now, (SELECT max(version) FROM ${tables.schema_version}) AS version,
      (SELECT count(*) FROM ${outbox}) AS unsent,
      (SELECT greatest(0, ${ms(now)} - ${ms('written_at')}) FROM ${outbox} ORDER BY position LIMIT 1) AS oldest_age,
      (SELECT count(*) FROM (SELECT DISTINCT group_name, topic, \`key\` FROM ${failure} WHERE blocks = 1) blocked) AS blocked_keys,
      (SELECT ${since('min(a.at)')} FROM ${attempt} a JOIN (SELECT group_name, message_id FROM ${failure} WHERE state = 'retrying'
        ORDER BY seq LIMIT 1) f USING (group_name, message_id)) AS oldest_retrying,
      (SELECT ${since('min(prepared_at)')} FROM ${half} WHERE state IN ('prepared', 'undecided')) AS oldest_half,
      (SELECT ${since('min(died_at)')} FROM ${failure} WHERE state = 'dead') AS oldest_dead,
      (SELECT ${since('min(at)')} FROM ${inbox} WHERE state IN ('handled', 'discarded')) AS oldest_finished`,
    // By statistics, which a server may keep for a day.
    tables: `SELECT substring(table_name, ${prefix.length + 1}) AS name, table_rows AS row_count, data_length + index_length AS size
      FROM information_schema.tables WHERE table_schema = database()
        AND table_name IN (${SIZED_TABLES.map((name) => `'${prefix}${name}'`).join(', ')})`,
    held: `SELECT state, count(*) AS count FROM ${held} GROUP BY state`,
    half: `SELECT state, count(*) AS count FROM ${half} GROUP BY state`,
    // One statement, so that the totals and their parts are of one moment.
    inbox: `SELECT group_name, 'all' AS state, count(*) AS count FROM ${inbox} GROUP BY group_name
      UNION ALL SELECT group_name, state, count(*) FROM ${failure} GROUP BY group_name, state`,
    // A row for each lease, and one for a process that has none.
    processes: `SELECT p.id, p.host, p.pid, ${ms('p.seen_at')} AS seen_at, p.expires_at > ${now} AS alive, l.name AS lease
      FROM ${processes} p LEFT JOIN ${lease} l ON l.owner = p.id AND l.expires_at > ${now}
      ORDER BY alive DESC, p.seen_at DESC, p.id, l.name`,
  }

  return async () => {
    const [single = {}] = await read(sql.single, [])
    const [ofHeld, ofHalf, ofInbox] = [await read(sql.held, []), await read(sql.half, []), await read(sql.inbox, [])]
    const leases = new Map<string, { readonly row: Readonly<Record<string, unknown>>; readonly names: string[] }>()
    for (const row of await read(sql.processes, [])) {
      const known = leases.get(text(row, 'id')) ?? { row, names: [] }
      leases.set(text(row, 'id'), known)
      if (row['lease'] !== null) known.names.push(text(row, 'lease'))
    }
    return overviewOf({
      single,
      held: ofHeld,
      half: ofHalf,
      inbox: ofInbox,
      tables: await read(sql.tables, []),
      processes: [...leases.values()].map(({ row, names }) => ({ ...row, leases: JSON.stringify(names) })),
    })
  }
}
