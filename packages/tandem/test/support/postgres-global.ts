// Starts one PostgreSQL for all test files that need no server of their own.
import type { TestProject } from 'vitest/node'
import { findPostgres, POSTGRES_MISSING } from './postgres-binaries.ts'
import { PostgresServer, type PostgresAddress } from './postgres-server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Undefined where PostgreSQL is not installed: the tests that need it are skipped. */
    postgres: { readonly tcp: PostgresAddress; readonly socket: PostgresAddress } | undefined
  }
}

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (findPostgres() === undefined) {
    if (process.env['TANDEM_TEST_ALL'] === '1') throw new Error(POSTGRES_MISSING)
    project.provide('postgres', undefined)
    return undefined
  }
  const server = await PostgresServer.start()
  project.provide('postgres', { tcp: server.address(), socket: server.address('postgres', 'socket') })
  return () => server.dispose()
}
