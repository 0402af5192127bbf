import { findMariadb } from '../../support/mariadb-binaries.ts'
import { MariadbServer } from '../../support/mariadb-server.ts'
import { findPostgres } from '../../support/postgres-binaries.ts'
import { PostgresServer } from '../../support/postgres-server.ts'
import { ServerDatabases, type ServerDatabase } from './databases.ts'
import type { ServerKind } from './protocol.ts'

/** A server that a test file has for itself, to do to it what it likes. */
export interface OwnServer {
  /** Kills every process of it with -9 and starts it again on what it has left. */
  crash(): Promise<void>
  /** As a person does. */
  stop(): Promise<void>
  start(): Promise<void>
  /** SIGSTOP, and SIGCONT. */
  freeze(): void
  thaw(): void
  dispose(): Promise<void>
  databases(): ServerDatabase
}

interface ServerType {
  readonly kind: ServerKind
  readonly isHere: boolean
  start(): Promise<OwnServer>
}

export const OWN_SERVERS: readonly ServerType[] = [
  {
    kind: 'postgres',
    isHere: findPostgres() !== undefined,
    start: async () => {
      const server = await PostgresServer.start()
      return Object.assign(server, { databases: () => new ServerDatabases('postgres', server.address()) })
    },
  },
  {
    kind: 'mariadb',
    isHere: findMariadb() !== undefined,
    start: async () => {
      const server = await MariadbServer.start()
      return Object.assign(server, { databases: () => new ServerDatabases('mariadb', server.address()) })
    },
  },
]
