// Starts one MariaDB for all test files that need no server of their own.
import type { TestProject } from 'vitest/node'
import { findMariadb, MARIADB_MISSING } from './mariadb-binaries.ts'
import { MariadbServer, type MariadbAddress } from './mariadb-server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Undefined where MariaDB is not installed: the tests that need it are skipped. */
    mariadb: { readonly tcp: MariadbAddress; readonly socket: MariadbAddress } | undefined
  }
}

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (findMariadb() === undefined) {
    if (process.env['TANDEM_TEST_ALL'] === '1') throw new Error(MARIADB_MISSING)
    project.provide('mariadb', undefined)
    return undefined
  }
  const server = await MariadbServer.start()
  project.provide('mariadb', { tcp: server.address(), socket: server.address('mysql', 'socket') })
  return () => server.dispose()
}
