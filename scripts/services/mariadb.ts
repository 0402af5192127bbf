import { findMariadb, MARIADB_MISSING } from '../servers/mariadb-binaries.ts'
import { MariadbServer } from '../servers/mariadb.ts'
import type { Service } from './service.ts'

export const mariadb: Service = {
  name: 'mariadb',
  packages: ['mariadb-server'],
  port: 23_306,
  needs: [],
  stopSignal: 'SIGTERM',
  missing: () => (findMariadb() === undefined ? MARIADB_MISSING : undefined),
  async start({ folder, port }) {
    const server = await MariadbServer.start({ folder, port, detached: true })
    return { pid: server.pid! }
  },
  url: (port) => `mysql://root@127.0.0.1:${port}/mysql`,
}
