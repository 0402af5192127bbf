import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describePoint } from './crash-points.ts'
import type { Kill } from './plan.ts'
import type { Place, ServiceName } from '../services.ts'
import type { Command, Happening, Report, Request } from './protocol.ts'

/** Node's cache of compiled code, in the data folder while the demo runs: a process that is started again is there sooner. */
export const COMPILE_CACHE = 'compile-cache'
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
/** Starts in a row that end by themselves before the service is ready: more than while a database server is away. */
const FAILED_STARTS = 10
/** How often something is asked that the service refuses each time, and after how many ms again: longer than a database server is away. */
const REFUSALS = 40
const ASK_AGAIN = 250

export interface Listener {
  /** The process is dead, however that came; it is being started again. */
  died(service: ServiceProcess, how: string): void
  happened(event: Happening): void
}

interface Asked {
  readonly command: Command
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  refusals: number
}

/** Keeps one service running as a process of its own: whoever kills it, it is started again. */
export class ServiceProcess {
  readonly name: ServiceName
  readonly #folder: string
  readonly #place: Place
  readonly #listener: Listener
  readonly #asked = new Map<number, Asked>()
  readonly #broken = Promise.withResolvers<never>()
  #lastId = 0
  #child: ChildProcess | undefined
  #ready = false
  #stopping = false
  #deaths = 0
  #failedStarts = 0
  /** What this demo has done to the process, for the moment when it dies. */
  #doing: string | undefined
  #next: Kill['thenAt']
  #exited = Promise.withResolvers<void>()

  constructor(name: ServiceName, folder: string, place: Place, listener: Listener) {
    this.name = name
    this.#folder = folder
    this.#place = place
    this.#listener = listener
    this.#broken.promise.catch(() => undefined)
  }

  /** How often it has died. */
  get deaths(): number {
    return this.#deaths
  }

  get state(): 'up' | 'starting' | 'stopped' {
    if (this.#stopping) return 'stopped'
    return this.#ready ? 'up' : 'starting'
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Rejects when the service cannot be started. */
  get broken(): Promise<never> {
    return this.#broken.promise
  }

  start(): void {
    const log = openSync(join(this.#folder, `${this.name}.log`), 'a')
    const armed = this.#next
    this.#next = undefined
    const child = fork(MAIN, [this.name, this.#folder, this.#place.url], {
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: join(this.#folder, COMPILE_CACHE),
        TANDEM_KILL_AT: armed === undefined ? '' : `${armed.point}:${armed.nth}`,
      },
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    this.#child = child
    this.#exited = Promise.withResolvers()
    child.on('message', (report: Report) => this.#heard(report))
    child.on('error', (error) => this.#broken.reject(new Error(`${this.name}: ${error.message}`)))
    child.on('exit', (code, signal) => this.#gone(code, signal, armed))
  }

  /**
   * Kills it with SIGKILL, as `kill -9` does. It is started again.
   *
   * @param how.when in which moment, for people
   * @param how.thenAt the point at which the next process kills itself
   */
  kill(how: { readonly when?: string; readonly thenAt?: Kill['thenAt'] } = {}): void {
    if (this.#stopping) return
    this.#doing = ['killed with SIGKILL', how.when].filter((part) => part !== undefined).join(' ')
    this.#next = how.thenAt
    this.#child?.kill('SIGKILL')
  }

  /** Asks until it is done, also when the process dies over it. */
  ask(command: Command): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      const asked = { command, resolve, reject, refusals: 0 }
      this.#asked.set(id, asked)
      if (this.#ready) this.#send(id, asked)
    })
  }

  /** Lets it finish what it is doing. Kills it after `deadline` ms. */
  async stop(deadline: number): Promise<void> {
    if (this.#child === undefined) return
    this.#stopping = true
    if (this.#ready) this.#child.send({ id: 0, command: { do: 'stop' } } satisfies Request)
    else this.#child.kill('SIGKILL')
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), deadline)
    await this.#exited.promise
    clearTimeout(timer)
  }

  /** Kills it for good, at once. */
  end(): void {
    this.#stopping = true
    this.#child?.kill('SIGKILL')
  }

  #send(id: number, { command }: Asked): void {
    // If it cannot be sent the process is dying, and it is asked again when it is back.
    this.#child?.send({ id, command } satisfies Request, undefined, undefined, () => undefined)
  }

  #heard(report: Report): void {
    switch (report.kind) {
      case 'ready':
        this.#ready = true
        this.#failedStarts = 0
        for (const [id, asked] of this.#asked) this.#send(id, asked)
        return
      case 'done':
        this.#asked.get(report.id)?.resolve()
        this.#asked.delete(report.id)
        return
      case 'refused':
        return this.#refused(report.id, report.error)
      case 'happened':
        return this.#listener.happened(report.event)
    }
  }

  #refused(id: number, error: string): void {
    const asked = this.#asked.get(id)
    if (asked === undefined) return
    asked.refusals += 1
    if (asked.refusals < REFUSALS) {
      setTimeout(() => this.#ready && this.#asked.has(id) && this.#send(id, asked), ASK_AGAIN)
      return
    }
    this.#asked.delete(id)
    asked.reject(new Error(`${this.name} refuses to ${asked.command.do}: ${error}`))
  }

  #gone(code: number | null, signal: NodeJS.Signals | null, armed: Kill['thenAt']): void {
    const wasReady = this.#ready
    this.#ready = false
    this.#exited.resolve()
    if (this.#stopping) return
    this.#deaths += 1
    if (signal === null && !wasReady) this.#failedStarts += 1
    if (this.#failedStarts >= FAILED_STARTS) {
      this.#stopping = true
      const log = readFileSync(join(this.#folder, `${this.name}.log`), 'utf8').trim()
      const end = log.split('\n').slice(-12).join('\n')
      this.#broken.reject(new Error(`${this.name} cannot be started (exit code ${code}). It says:\n${end}`))
      return
    }
    this.#listener.died(this, this.#howItDied(code, signal, armed))
    this.#doing = undefined
    if (signal === null) setTimeout(() => !this.#stopping && this.start(), 250)
    else this.start()
  }

  #howItDied(code: number | null, signal: NodeJS.Signals | null, armed: Kill['thenAt']): string {
    if (signal === null) return `ended by itself with exit code ${code}; see ${this.name}.log`
    if (this.#doing !== undefined) return this.#doing
    if (armed !== undefined && signal === 'SIGKILL') return `killed with SIGKILL ${describePoint(armed.point)}`
    return `killed with ${signal} by somebody else`
  }
}
