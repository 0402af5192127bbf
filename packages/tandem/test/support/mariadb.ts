import { randomBytes } from 'node:crypto'
import mysql from 'mysql2/promise'
import { inject } from 'vitest'
import type { MariadbAddress } from './mariadb-server.ts'

/** Whether the tests have a server; for `describe.skipIf(!hasMariadb)`. */
export const hasMariadb: boolean = inject('mariadb') !== undefined

export interface TestMariadb {
  /** Over TCP. */
  readonly tcp: MariadbAddress
  /** Over a unix socket. Faster. */
  readonly socket: MariadbAddress
  /** Removes it; those who are connected meet an error at their next statement. */
  drop(): Promise<void>
}

/**
 * Makes an empty database on the server that all test files share. One per test file is enough for most.
 *
 * @param options for example `CHARACTER SET latin1`
 */
export async function createMariadb(options = ''): Promise<TestMariadb> {
  const server = inject('mariadb')
  if (server === undefined) throw new Error('this test needs MariaDB: skip it where hasMariadb is false')
  const database = `test_${randomBytes(6).toString('hex')}`
  await executeMariadb(server.socket, `CREATE DATABASE ${database} ${options}`)
  return {
    tcp: { ...server.tcp, database },
    socket: { ...server.socket, database },
    drop: () => executeMariadb(server.socket, `DROP DATABASE ${database}`),
  }
}

/** Runs statements on a connection of their own. */
export async function executeMariadb(address: MariadbAddress, sql: string): Promise<void> {
  await queryMariadb(address, sql)
}

/** Runs a statement on a connection of its own, and gives its rows. */
export async function queryMariadb(address: MariadbAddress, sql: string): Promise<readonly Record<string, unknown>[]> {
  const connection = await mysql.createConnection({ ...address, multipleStatements: true })
  try {
    const [rows] = await connection.query(sql)
    return rows as Record<string, unknown>[]
  } finally {
    await connection.end()
  }
}
