// The PostgreSQL server of a run, and databases on it.
import pg from 'pg'
import { PostgresServer } from '../../../scripts/servers/postgres.ts'

/** What every database of a bench is asked for; all else is PostgreSQL's default, or what the user's server has. */
const SETTINGS = {
  // For two-phase commit, which no server has by default.
  max_prepared_transactions: 100,
  max_connections: 200,
}

/** Connections of each pool, of Tandem and of whatever it is compared with. */
export const POOL_SIZE = 12

/** Transactions that a client process has open at the same time, where nothing else is said. */
export const CLIENTS = 10

export interface Database {
  readonly url: string
  /** Runs a statement, or several without parameters, on a connection of its own. */
  query(sql: string, params?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>
}

let starting: Promise<PostgresServer> | undefined
let databases = 0

/**
 * Runs `work` with new databases and removes them.
 *
 * @param server a connection string of the user's own server; undefined: one is started for this run, with commits that reach the disk
 */
export async function withDatabases<T>(
  server: string | undefined,
  names: readonly string[],
  work: (...databases: Database[]) => Promise<T>,
): Promise<T> {
  const root = databaseAt(server ?? (await ownServer()))
  const made: string[] = []
  try {
    for (const name of names) {
      databases += 1
      const own = `tandem_bench_${process.pid}_${databases}_${name}`
      await root.query(`CREATE DATABASE ${own}`)
      made.push(own)
    }
    // What the bench before has left to be written is not this one's.
    await root.query('CHECKPOINT')
    return await work(...made.map((name) => databaseAt(withName(root.url, name))))
  } finally {
    for (const name of made) await root.query(`DROP DATABASE ${name} WITH (FORCE)`).catch(() => undefined)
  }
}

/** A pool of the usual size, on which Tandem can send its last statement together with the COMMIT. One that loses its server says so through the statement at hand. */
export function poolOf(url: string, size = POOL_SIZE): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: size, idleTimeoutMillis: 0, pipeline: true })
  const quiet = (): void => undefined
  pool.on('error', quiet)
  // One of the peers asks for it.
  pool.on('connect', (client) => client.on('error', quiet))
  return pool
}

async function ownServer(): Promise<string> {
  // It is stopped, and its files are removed, when the process ends.
  starting ??= PostgresServer.start({ fsync: true, synchronousCommit: 'on', settings: SETTINGS })
  const { host, port, user, database } = (await starting).address()
  return `postgres://${user}@${host}:${port}/${database}`
}

function databaseAt(url: string): Database {
  return {
    url,
    async query(sql, params) {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        return (await client.query<Record<string, unknown>>(sql, params as unknown[])).rows
      } finally {
        await client.end()
      }
    },
  }
}

function withName(url: string, name: string): string {
  const parsed = new URL(url)
  parsed.pathname = `/${name}`
  return parsed.href
}
