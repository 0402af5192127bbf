import { findPgBouncer, PgBouncer, PGBOUNCER_MISSING } from '../servers/pgbouncer.ts'
import { postgres } from './postgres.ts'
import type { Service } from './service.ts'

/** In transaction mode, in front of the service `postgres`. */
export const pgbouncer: Service = {
  name: 'pgbouncer',
  packages: ['pgbouncer'],
  port: 26_432,
  needs: [postgres.name],
  stopSignal: 'SIGTERM',
  missing: () => (findPgBouncer() === undefined ? PGBOUNCER_MISSING : undefined),
  async start({ folder, port, portOf }) {
    const server = { host: '127.0.0.1', port: portOf(postgres.name), user: 'postgres', database: 'postgres' }
    const bouncer = await PgBouncer.start(server, { folder, port, detached: true, poolSize: 20 })
    return { pid: bouncer.pid! }
  },
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
}
