// A PgBouncer in transaction mode, from the system's package, in a folder of its own.
import { execFileSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { freePort } from './free-port.ts'
import { ServerFolder } from './server-folder.ts'
import { ServerProcess } from './server-process.ts'
import type { PostgresAddress } from './postgres.ts'

/** Debian has it outside of the path of most users. */
const PLACES = ['pgbouncer', '/usr/sbin/pgbouncer', '/usr/local/bin/pgbouncer', '/opt/homebrew/bin/pgbouncer']

/** Why there is none, in words. */
export const PGBOUNCER_MISSING = 'PgBouncer is not installed (Debian: apt-get install pgbouncer)'

interface Found {
  readonly program: string
  /** `1.18`, as a number of its minor version. */
  readonly minor: number
}

/** The program of this machine; undefined where there is none. */
export function findPgBouncer(): Found | undefined {
  for (const program of PLACES) {
    try {
      const text = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      return { program, minor: Number(/PgBouncer 1\.(\d+)/.exec(text)?.[1] ?? 0) }
    } catch {
      // It is not there.
    }
  }
  return undefined
}

export interface PgBouncerOptions {
  /** Where its files are, or are made. Default: a temporary folder, removed at the end. */
  readonly folder?: string
  /** Default: one that is free. */
  readonly port?: number
  /** Leave it running when this process ends. Default false. */
  readonly detached?: boolean
  /** Connections to the server for each database. */
  readonly poolSize: number
  /** Prepared statements that it keeps for its clients, which it can since 1.21. Default 0. */
  readonly preparedStatements?: number
}

export class PgBouncer {
  readonly port: number
  readonly #folder: ServerFolder
  readonly #process: ServerProcess

  private constructor(folder: ServerFolder, port: number, process: ServerProcess) {
    this.port = port
    this.#folder = folder
    this.#process = process
  }

  /** Starts one in front of a server. */
  static async start(server: PostgresAddress, options: PgBouncerOptions): Promise<PgBouncer> {
    const found = findPgBouncer()
    if (found === undefined) throw new Error(PGBOUNCER_MISSING)
    const folder = new ServerFolder('pgbouncer', options.folder)
    const port = options.port ?? (await freePort())
    const settings = {
      listen_addr: '127.0.0.1',
      listen_port: port,
      unix_socket_dir: '',
      auth_type: 'any',
      pool_mode: 'transaction',
      default_pool_size: options.poolSize,
      max_client_conn: 500,
      // A transaction that waits for one that waits for a connection is a mistake of the test.
      query_wait_timeout: 20,
      ...(found.minor < 21 ? {} : { max_prepared_statements: options.preparedStatements ?? 0 }),
    }
    const file = folder.path('pgbouncer.ini')
    const lines = [
      '[databases]',
      `* = host=${server.host} port=${server.port} user=${server.user}`,
      '[pgbouncer]',
      ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    chmodSync(file, 0o644)
    const process = new ServerProcess({
      name: 'PgBouncer',
      program: found.program,
      args: [file],
      cwd: folder.root,
      log: folder.path('log'),
      detached: options.detached ?? false,
      isReady: () => answers(port),
    })
    if (options.detached !== true) folder.removeAtExit(() => process.signal('SIGKILL'))
    try {
      await process.start()
    } catch (error) {
      folder.abandon()
      throw error
    }
    return new PgBouncer(folder, port, process)
  }

  /** As a database of the server is reached through it. */
  address(server: PostgresAddress): PostgresAddress {
    return { ...server, host: '127.0.0.1', port: this.port }
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  async dispose(): Promise<void> {
    await this.#process.kill()
    this.#folder.remove()
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
