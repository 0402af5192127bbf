// A PostgreSQL server: the real one, from npm, in a folder of its own.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'
import { postgresBinaries } from './postgres-binaries.ts'
import { ServerFolder } from './server-folder.ts'
import { ServerProcess, serverUser } from './server-process.ts'

export interface PostgresServerOptions {
  /** Where its files are, or are made. Default: a temporary folder, removed at the end. */
  readonly folder?: string
  /** Default: one that is free. */
  readonly port?: number
  /** Leave it running when this process ends. Default false. */
  readonly detached?: boolean
  /** Whether a commit reaches the disk. Default false: tests kill processes, not machines. */
  readonly fsync?: boolean
  /** Default `on`. */
  readonly synchronousCommit?: 'on' | 'off'
  /** Further settings, for example `{ max_connections: 20 }`. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/** Everything a client needs. A host that begins with `/` is the folder of a unix socket. */
export interface PostgresAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

/** How to go: `smart` waits for clients, `fast` cuts them off, `immediate` does not even write a checkpoint. */
type StopMode = 'smart' | 'fast' | 'immediate'
const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const

const INITDB = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']

export class PostgresServer {
  readonly port: number
  readonly #folder: ServerFolder
  readonly #process: ServerProcess

  private constructor(folder: ServerFolder, port: number, program: string, options: PostgresServerOptions) {
    this.#folder = folder
    this.port = port
    const settings = {
      // Not UTC, so that a mix-up of local and universal time shows.
      timezone: 'Asia/Kolkata',
      max_connections: 200,
      max_prepared_transactions: 100,
      ...(options.fsync === true ? {} : { fsync: 'off', full_page_writes: 'off' }),
      synchronous_commit: options.synchronousCommit ?? 'on',
      listen_addresses: '127.0.0.1',
      ...options.settings,
    }
    const data = folder.path('data')
    const args = ['-D', data, '-p', `${port}`, ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])]
    if (this.socket !== undefined) args.push('-k', this.socket)
    this.#process = new ServerProcess({
      name: 'PostgreSQL',
      program,
      args,
      cwd: folder.root,
      log: folder.path('log'),
      detached: options.detached ?? false,
      isReady: (pid) => isReady(join(data, 'postmaster.pid'), pid),
    })
    if (options.detached !== true) folder.removeAtExit(() => this.#process.signal('SIGKILL'))
  }

  /** Makes a new cluster, unless there is one in the folder, and starts a server on it. */
  static async start(options: PostgresServerOptions = {}): Promise<PostgresServer> {
    const folder = new ServerFolder('postgres', options.folder)
    try {
      const { initdb, postgres } = postgresBinaries(folder.root)
      folder.make('socket')
      if (!existsSync(folder.path('data/PG_VERSION'))) {
        const args = ['-D', folder.path('data'), ...INITDB]
        await promisify(execFile)(initdb, args, { ...serverUser, cwd: folder.root })
      }
      const server = new PostgresServer(folder, options.port ?? (await freePort()), postgres, options)
      await server.start()
      return server
    } catch (error) {
      folder.abandon()
      throw error
    }
  }

  /** The folder of the unix socket, for `host`. Undefined on Windows. */
  get socket(): string | undefined {
    return process.platform === 'win32' ? undefined : this.#folder.path('socket')
  }

  /** @param over `tcp` is 127.0.0.1; a unix socket is faster. Default `tcp`. */
  address(database = 'postgres', over: 'tcp' | 'socket' = 'tcp'): PostgresAddress {
    const host = over === 'socket' ? (this.socket ?? '127.0.0.1') : '127.0.0.1'
    return { host, port: this.port, user: 'postgres', database }
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

  stop(mode: StopMode = 'fast'): Promise<void> {
    return this.#process.stop(SIGNALS[mode])
  }

  /** Kills every process of the server at once, as losing the machine would. */
  kill(): Promise<void> {
    return this.#process.kill()
  }

  /** Kills and starts again. */
  async crash(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Stops every process where it is. Connections stay open; nobody answers on them. */
  freeze(): void {
    this.#process.signal('SIGSTOP')
  }

  thaw(): void {
    this.#process.signal('SIGCONT')
  }

  /** Stops it and removes its data. */
  async dispose(): Promise<void> {
    this.thaw()
    await this.stop('immediate')
    this.#folder.remove()
  }
}

/** The server writes its state as the last line of this file; one that was killed has left its own behind. */
function isReady(file: string, pid: number): boolean {
  if (!existsSync(file)) return false
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines[0] === `${pid}` && lines.at(-1)?.trim() === 'ready'
}
