import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signalTree } from '../../../../scripts/servers/server-process.ts'
import type { ServerKind } from './layouts.ts'

/** A server of the demo's own: the real one, on a port of its own, in a temporary folder. */
export interface OwnServer {
  readonly url: string
  readonly folder: string
  readonly pid: number | undefined
  /** Kills it with SIGKILL and starts it again. */
  crash(): Promise<void>
  /** Ends it at once, and removes its files. */
  end(): void
}

export const NAMES = { postgres: 'PostgreSQL', mysql: 'MariaDB' } as const satisfies Record<ServerKind, string>

export async function startServer(kind: ServerKind): Promise<OwnServer> {
  // A folder that is known here, and a process in a session of its own: with --keep it outlives the demo, and Ctrl+C is not for it.
  const folder = mkdtempSync(join(tmpdir(), `tandem-shop-${kind}-`))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  process.once('exit', remove)
  try {
    const { server, url } = await START[kind](folder)
    return {
      url,
      folder,
      get pid() {
        return server.pid
      },
      crash: () => server.crash(),
      end: () => {
        if (server.pid !== undefined) signalTree(server.pid, 'SIGKILL')
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  } finally {
    process.off('exit', remove)
  }
}

const START = {
  postgres: async (folder: string) => {
    const { PostgresServer } = await import('../../../../scripts/servers/postgres.ts')
    const server = await PostgresServer.start({ folder, detached: true })
    return { server, url: `postgres://postgres@127.0.0.1:${server.port}/postgres` }
  },
  mysql: async (folder: string) => {
    const { MariadbServer } = await import('../../../../scripts/servers/mariadb.ts')
    const server = await MariadbServer.start({ folder, detached: true })
    return { server, url: `mysql://root@127.0.0.1:${server.port}/mysql` }
  },
}
