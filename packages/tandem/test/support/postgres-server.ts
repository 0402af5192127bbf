// A PostgreSQL server of the tests' own: the real one, from npm, in a temporary folder.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { postgresBinaries, serverUser, type PostgresBinaries } from './postgres-binaries.ts'

export interface PostgresServerOptions {
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

/** Milliseconds that a start may take, with the recovery after a crash. */
const START_TIMEOUT = 30_000
const KEPT_LINES = 200

export class PostgresServer {
  readonly port: number
  readonly #folder: string
  readonly #binaries: PostgresBinaries
  readonly #settings: readonly string[]
  readonly #log: string[] = []
  #process: ChildProcess | undefined
  /** A run that is ended half-way leaves nothing behind. */
  readonly #atExit = (): void => {
    this.#signalAll('SIGKILL')
    this.#removeFiles()
  }

  private constructor(folder: string, port: number, binaries: PostgresBinaries, options: PostgresServerOptions) {
    this.#folder = folder
    this.port = port
    this.#binaries = binaries
    const settings = {
      // Not UTC, so that a mix-up of local and universal time shows.
      timezone: 'Asia/Kolkata',
      max_connections: 200,
      max_prepared_transactions: 100,
      ...(options.fsync === true ? {} : { fsync: 'off', full_page_writes: 'off' }),
      synchronous_commit: options.synchronousCommit ?? 'on',
      ...options.settings,
    }
    this.#settings = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    process.once('exit', this.#atExit)
  }

  /** Makes a new cluster and starts a server on it. */
  static async start(options: PostgresServerOptions = {}): Promise<PostgresServer> {
    const binaries = postgresBinaries()
    const folder = mkdtempSync(join(tmpdir(), 'tandem-postgres-'))
    mkdirSync(join(folder, 'socket'))
    const { uid, gid } = serverUser
    if (uid !== undefined && gid !== undefined) {
      for (const path of [folder, join(folder, 'socket')]) chownSync(path, uid, gid)
    }
    const initdb = [
      '-D',
      join(folder, 'data'),
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    ]
    await promisify(execFile)(binaries.initdb, initdb, { ...serverUser, cwd: folder })
    const server = new PostgresServer(folder, await freePort(), binaries, options)
    await server.start()
    return server
  }

  /** The folder of the unix socket, for `host`. Undefined on Windows. */
  get socket(): string | undefined {
    return process.platform === 'win32' ? undefined : join(this.#folder, 'socket')
  }

  /** @param over `tcp` is 127.0.0.1; a unix socket is faster. Default `tcp`. */
  address(database = 'postgres', over: 'tcp' | 'socket' = 'tcp'): PostgresAddress {
    const host = over === 'socket' ? (this.socket ?? '127.0.0.1') : '127.0.0.1'
    return { host, port: this.port, user: 'postgres', database }
  }

  /** What the server has logged last. */
  get log(): string {
    return this.#log.join('\n')
  }

  /** Starts it again, on the same port and the same data. */
  async start(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT
    // After a kill, what the old server had taken is free only when its last process has gone.
    while (!(await this.#tryStart())) {
      if (performance.now() > deadline) throw new Error(`PostgreSQL does not start:\n${this.log}`)
      await delay(50)
    }
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#end(() => this.#process?.kill(SIGNALS[mode]))
  }

  /** Kills every process of the server at once, as losing the machine would. */
  async kill(): Promise<void> {
    await this.#end(() => this.#signalAll('SIGKILL'))
  }

  /** Kills and starts again. */
  async crash(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Stops every process where it is. Connections stay open; nobody answers on them. */
  freeze(): void {
    this.#signalAll('SIGSTOP')
  }

  thaw(): void {
    this.#signalAll('SIGCONT')
  }

  /** Stops it and removes its data. */
  async dispose(): Promise<void> {
    process.off('exit', this.#atExit)
    this.thaw()
    await this.stop('immediate')
    this.#removeFiles()
  }

  #removeFiles(): void {
    for (const path of [this.#folder, this.#binaries.temporary]) {
      if (path !== undefined) rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  /** @returns false if it has ended before it was ready */
  async #tryStart(): Promise<boolean> {
    const arguments_ = ['-D', join(this.#folder, 'data'), '-p', `${this.port}`, '-c', 'listen_addresses=127.0.0.1']
    if (this.socket !== undefined) arguments_.push('-k', this.socket)
    const child = spawn(this.#binaries.postgres, [...arguments_, ...this.#settings], {
      ...serverUser,
      cwd: this.#folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    const ready = new Promise<boolean>((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.#log.push(line)
        if (this.#log.length > KEPT_LINES) this.#log.shift()
        if (line.includes('database system is ready to accept connections')) resolve(true)
      })
      child.once('error', () => resolve(false))
      child.once('exit', () => resolve(false))
    })
    const started = await ready
    // A test that fails half-way must not keep the process alive.
    child.unref()
    if (!started) this.#process = undefined
    return started
  }

  async #end(act: () => void): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    if (child.exitCode !== null || child.signalCode !== null) return
    child.ref()
    const ended = once(child, 'exit')
    this.#process = child
    act()
    this.#process = undefined
    await ended
  }

  #signalAll(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid
    if (pid === undefined) return
    // The server's own children first: they end by themselves when they see that their parent has gone.
    for (const child of [...childrenOf(pid), pid]) {
      try {
        process.kill(child, signal)
      } catch {
        // It has gone.
      }
    }
  }
}

/** Elsewhere than on Linux there is no cheap way to know; the children of a killed server end by themselves. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** Below what systems give to outgoing connections, so that nobody takes it while the server is down. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const probe = createServer()
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
}
