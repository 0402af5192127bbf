import { DatabaseError, Pool } from 'pg'
import { pg } from 'tandem/drivers/pg'
import { postgres } from 'tandem/stores/postgres'
import { UsageError } from '../usage-error.ts'
import type { Row, ServiceDatabase } from './database.ts'

export function openPostgres(url: string): ServiceDatabase {
  const pool = new Pool({ connectionString: url, max: 3 })
  return {
    store: postgres(pg(pool)),
    read: async (sql) => (await pool.query<Row>(sql)).rows,
    table: (name) => `tandem.${name}`,
    quote: (name) => `"${name}"`,
    close: () => pool.end(),
  }
}

const ALREADY_THERE = '42P04'

/** @throws UsageError if it is there already: the books are those of one run */
export async function createPostgres(server: string, name: string): Promise<string> {
  await onServer(server, `CREATE DATABASE ${name}`).catch((error: unknown) => {
    if (!(error instanceof DatabaseError) || error.code !== ALREADY_THERE) throw error
    throw new UsageError(`--postgres: there is a database ${name} already, and the books are those of one run; drop it`)
  })
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

export async function dropPostgres(server: string, name: string): Promise<void> {
  await onServer(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
}

async function onServer(server: string, sql: string): Promise<void> {
  const pool = new Pool({ connectionString: server, max: 1 })
  try {
    await pool.query(sql)
  } finally {
    await pool.end()
  }
}
