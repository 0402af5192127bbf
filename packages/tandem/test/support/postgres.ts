import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import type { PostgresAddress } from './postgres-server.ts'

/** Whether the tests have a server; for `describe.skipIf(!hasPostgres)`. */
export const hasPostgres: boolean = inject('postgres') !== undefined

export interface TestDatabase {
  /** Over TCP. */
  readonly tcp: PostgresAddress
  /** Over a unix socket, where there are such. Faster. */
  readonly socket: PostgresAddress
  /** Removes it, whoever is connected. */
  drop(): Promise<void>
}

/** Makes an empty database on the server that all test files share. One per test file is enough for most. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = inject('postgres')
  if (server === undefined) throw new Error('this test needs PostgreSQL: skip it where hasPostgres is false')
  const database = `test_${randomBytes(6).toString('hex')}`
  await execute(server.socket, `CREATE DATABASE ${database}`)
  return {
    tcp: { ...server.tcp, database },
    socket: { ...server.socket, database },
    drop: () => execute(server.socket, `DROP DATABASE ${database} WITH (FORCE)`),
  }
}

/** Runs statements on a connection of their own. */
export async function execute(address: PostgresAddress, sql: string): Promise<void> {
  await query(address, sql)
}

/** Runs a statement on a connection of its own, and gives its rows. */
export async function query(address: PostgresAddress, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client(address)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}
