import { findPostgres, POSTGRES_MISSING } from '../servers/postgres-binaries.ts'
import { PostgresServer } from '../servers/postgres.ts'
import type { Service } from './service.ts'

export const postgres: Service = {
  name: 'postgres',
  packages: [],
  port: 25_432,
  needs: [],
  stopSignal: 'SIGINT',
  missing: () => (findPostgres() === undefined ? POSTGRES_MISSING : undefined),
  async start({ folder, port }) {
    const server = await PostgresServer.start({ folder, port, detached: true })
    return { pid: server.pid! }
  },
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
}
