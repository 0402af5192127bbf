// A MariaDB or MySQL server: the real one, as the system has it installed, in a folder of its own.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { mariadbBinaries, type MariadbBinaries } from './mariadb-binaries.ts'
import { ServerFolder } from './server-folder.ts'
import { ServerProcess, serverUser } from './server-process.ts'

export interface MariadbServerOptions {
  /** Where its files are, or are made. Default: a temporary folder, removed at the end. */
  readonly folder?: string
  /** Default: one that is free. */
  readonly port?: number
  /** Leave it running when this process ends. Default false. */
  readonly detached?: boolean
  /** Whether a commit reaches the disk. Default false: tests kill processes, not machines. */
  readonly fsync?: boolean
  /** Further settings, for example `{ max_connections: 20 }`. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/** Everything that a client needs, under the names of mysql2. `socketPath` takes the place of host and port. */
export interface MariadbAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly socketPath?: string
}

// Over TCP as over the socket, and without a password.
const USERS = `CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
`

/** What no test needs, and what takes the time or the room of a start. */
const SMALL = {
  innodb_buffer_pool_size: '64M',
  performance_schema: 'OFF',
  // With as much as half of the rest, a second server on a small machine does not come up.
  key_buffer_size: '1M',
}

/**
 * Nothing waits for the disk, and a process that is killed still loses nothing: the log goes to the operating system at each commit (2; with 0
 * it would stay in the process), and pages are written twice, for a kill can stop a write half-way.
 */
const NOT_DURABLE = { innodb_flush_log_at_trx_commit: 2, innodb_flush_method: 'nosync' }

export class MariadbServer {
  readonly port: number
  readonly #folder: ServerFolder
  readonly #process: ServerProcess

  private constructor(folder: ServerFolder, port: number, binaries: MariadbBinaries, options: MariadbServerOptions) {
    this.#folder = folder
    this.port = port
    const settings = {
      // Not UTC, so that a mix-up of local and universal time shows.
      default_time_zone: '+05:30',
      // As in MySQL 8 and in what distributions set for MariaDB.
      character_set_server: 'utf8mb4',
      max_connections: 200,
      ...SMALL,
      ...(options.fsync === true ? {} : NOT_DURABLE),
      bind_address: '127.0.0.1',
      datadir: folder.path('data'),
      port,
      socket: folder.path('socket'),
      pid_file: folder.path('pid'),
      init_file: folder.path('users.sql'),
      skip_log_bin: '',
      ...(binaries.isMariadb ? { innodb_log_file_size: '32M' } : { mysqlx: 'OFF', secure_file_priv: 'NULL' }),
      ...options.settings,
    }
    const args = Object.entries(settings).map(([name, value]) => `--${name}${value === '' ? '' : `=${value}`}`)
    this.#process = new ServerProcess({
      name: 'MariaDB',
      program: binaries.server,
      args: ['--no-defaults', ...args],
      cwd: folder.root,
      log: folder.path('log'),
      detached: options.detached ?? false,
      isReady: (pid) => isReady(folder.path('pid'), pid, port),
    })
    if (options.detached !== true) folder.removeAtExit(() => this.#process.signal('SIGKILL'))
  }

  /** Makes a new data folder, unless there is one, and starts a server on it. */
  static async start(options: MariadbServerOptions = {}): Promise<MariadbServer> {
    const folder = new ServerFolder('mariadb', options.folder)
    try {
      const binaries = mariadbBinaries()
      if (!existsSync(folder.path('data/mysql'))) await makeData(folder, binaries)
      const server = new MariadbServer(folder, options.port ?? (await freePort()), binaries, options)
      await server.start()
      return server
    } catch (error) {
      folder.abandon()
      throw error
    }
  }

  /** The unix socket, for `socketPath`. */
  get socket(): string {
    return this.#folder.path('socket')
  }

  /** @param over `tcp` is 127.0.0.1; a unix socket is faster. Default `tcp`. */
  address(database = 'mysql', over: 'tcp' | 'socket' = 'tcp'): MariadbAddress {
    const tcp = { host: '127.0.0.1', port: this.port, user: 'root', database }
    return over === 'socket' ? { ...tcp, host: 'localhost', socketPath: this.socket } : tcp
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** What the server has logged last. */
  get log(): string {
    return this.#process.log
  }

  /** Starts it again, on the same port and the same data. */
  start(): Promise<void> {
    return this.#process.start()
  }

  /** Cuts everybody off and writes everything down. */
  stop(): Promise<void> {
    return this.#process.stop('SIGTERM')
  }

  /** Kills it at once, as losing the machine would. */
  kill(): Promise<void> {
    return this.#process.kill()
  }

  /** Kills and starts again. */
  async crash(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Stops it and starts it again, on the same port and the same data. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Stops it where it is. Connections stay open; nobody answers on them. */
  freeze(): void {
    this.#process.signal('SIGSTOP')
  }

  thaw(): void {
    this.#process.signal('SIGCONT')
  }

  /** Ends it and removes its data. */
  async dispose(): Promise<void> {
    await this.kill()
    this.#folder.remove()
  }
}

async function makeData(folder: ServerFolder, { server, install }: MariadbBinaries): Promise<void> {
  writeFileSync(folder.path('users.sql'), USERS)
  const data = `--datadir=${folder.path('data')}`
  const [program, args] =
    install === undefined
      ? [server, ['--no-defaults', data, '--initialize-insecure']]
      : [install, ['--no-defaults', data, '--auth-root-authentication-method=normal', '--skip-test-db', '--force']]
  const fast = ['--innodb-flush-log-at-trx-commit=0', '--innodb-doublewrite=OFF']
  await promisify(execFile)(program, [...args, ...fast], { ...serverUser, cwd: folder.root })
}

/** The file names the process that is on the port, and the server begins a connection with a greeting when it takes any. */
async function isReady(pidFile: string, pid: number, port: number): Promise<boolean> {
  if (!existsSync(pidFile) || readFileSync(pidFile, 'utf8').trim() !== `${pid}`) return false
  const socket = connect(port, '127.0.0.1')
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('close', () => resolve(false))
    })
  } finally {
    socket.destroy()
  }
}
