import { createConnection, createPool, type RowDataPacket } from 'mysql2/promise'
import { mysql2 } from 'tandem/drivers/mysql2'
import { mysql } from 'tandem/stores/mysql'
import { UsageError } from '../usage-error.ts'
import type { ServiceDatabase } from './database.ts'

export function openMysql(url: string): ServiceDatabase {
  const pool = createPool({ uri: url, connectionLimit: 3 })
  return {
    store: mysql(mysql2(pool)),
    read: async (sql) => (await pool.query<RowDataPacket[]>(sql))[0],
    table: (name) => `tandem_${name}`,
    quote: (name) => `\`${name}\``,
    close: () => pool.end(),
  }
}

const ALREADY_THERE = 'ER_DB_CREATE_EXISTS'

/** @throws UsageError if it is there already: the books are those of one run */
export async function createMysql(server: string, name: string): Promise<string> {
  await onServer(server, `CREATE DATABASE ${name} CHARACTER SET utf8mb4`).catch((error: unknown) => {
    if ((error as { readonly code?: unknown }).code !== ALREADY_THERE) throw error
    throw new UsageError(`--mysql: there is a database ${name} already, and the books are those of one run; drop it`)
  })
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

export async function dropMysql(server: string, name: string): Promise<void> {
  await onServer(server, `DROP DATABASE IF EXISTS ${name}`)
}

async function onServer(server: string, sql: string): Promise<void> {
  const connection = await createConnection(server)
  try {
    await connection.query(sql)
  } finally {
    await connection.end()
  }
}
