import { fork, type ChildProcess } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CrashPoint } from '../../../src/testing/index.ts'
import type { CommandName, Commands, Report, Request, ServiceName, Settings } from './protocol.ts'

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))
/** Milliseconds to wait for what must come; long, because it is only ever used up by a test that fails. */
const BOUND = 30_000

export interface Arming {
  /** `point` or `point:nth`. */
  readonly killAt?: string
  /** SIGSTOP at this point. */
  readonly freezeAt?: CrashPoint
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What was asked was not answered, because the process is gone. */
export class ProcessDied extends Error {}

/** What was asked was refused. */
class Refused extends Error {
  readonly code: string

  constructor(code: string, text: string) {
    super(text)
    this.code = code
  }
}

type Waiter = { readonly look: () => void }

/** A service in a process of its own, seen from the test. */
export class ServiceProcess {
  readonly name: ServiceName
  readonly pid: number
  readonly reports: Report[] = []
  /** Resolves when the process is gone, however it went. */
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #told: () => void
  readonly #waiters = new Set<Waiter>()
  #stderr = ''
  #exit: Exit | undefined
  #asked = 0

  /** @param told called after each report, and at the end */
  constructor(name: ServiceName, settings: Settings, arming: Arming, told: () => void) {
    this.name = name
    this.#told = told
    this.#child = fork(CHILD, [name, JSON.stringify(settings)], {
      execArgv: ['--conditions=tandem-source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: join(tmpdir(), 'tandem-compile-cache'),
        TANDEM_KILL_AT: arming.killAt ?? '',
        ...(arming.freezeAt === undefined ? {} : { TANDEM_FREEZE_AT: arming.freezeAt }),
      },
    })
    this.pid = this.#child.pid ?? -1
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
    })
    this.#child.on('message', (report: Report) => {
      this.reports.push(report)
      this.#changed()
    })
    this.exited = new Promise((resolve) => {
      // `close` comes after the last message and the last line of stderr.
      this.#child.on('close', (code, signal) => {
        this.#exit = { code, signal }
        this.#changed()
        resolve(this.#exit)
      })
    })
  }

  get alive(): boolean {
    return this.#exit === undefined
  }

  /** Resolves when it has started. @throws Refused when it could not */
  async ready(): Promise<void> {
    const report = await this.reported(({ kind }) => kind === 'ready' || kind === 'start-failed', 'to be ready')
    if (report.kind === 'start-failed') throw new Refused(report.code, report.text)
  }

  /** The first report that fits, whether it has come or is still to come. `after`: how many reports to pass over. */
  async reported(fits: (report: Report) => boolean, what: string, after = 0): Promise<Report> {
    return this.#wait(() => this.reports.slice(after).find(fits), what)
  }

  /** The first event of this name that fits. */
  async event(name: string, fits: (data: Record<string, unknown>) => boolean = () => true, after = 0): Promise<void> {
    await this.reported((report) => isEvent(report, name) && fits(report.data), `to tell ${name}`, after)
  }

  /** Resolves when there have been as many events of this name. */
  async count(name: string, least: number): Promise<void> {
    await this.#wait(() => (this.events(name).length >= least ? true : undefined), `to tell ${name} ${least} times`)
  }

  events(name: string): readonly Record<string, unknown>[] {
    return this.reports.filter((report) => isEvent(report, name)).map(({ data }) => data)
  }

  /** A handler, check or local transaction for this order is where it holds. */
  async begun(order: string): Promise<void> {
    await this.reported((report) => report.kind === 'begun' && report.order === order, `to begin with ${order}`)
  }

  /** It is stopped at its point, until SIGCONT. */
  async frozen(): Promise<void> {
    await this.reported(({ kind }) => kind === 'freezing', 'to come to where it is frozen')
  }

  /**
   * May be awaited later, or not at all by a test that has failed in between.
   *
   * @throws Refused, ProcessDied
   */
  ask<N extends CommandName>(name: N, input: Commands[N]['with']): Promise<Commands[N]['gives']> {
    const answer = this.#ask(name, input)
    answer.catch(() => undefined)
    return answer
  }

  async #ask<N extends CommandName>(name: N, input: Commands[N]['with']): Promise<Commands[N]['gives']> {
    const id = ++this.#asked
    if (!this.alive) throw new ProcessDied(`${this.name} is dead and cannot ${name}`)
    this.#child.send({ id, name, input } satisfies Request, () => undefined)
    const report = await this.reported(
      (one) => (one.kind === 'reply' || one.kind === 'refusal') && one.id === id,
      `to answer ${name}`,
    )
    if (report.kind === 'refusal') throw new Refused(report.code, report.text)
    return (report as { value: unknown }).value as Commands[N]['gives']
  }

  /** Resolves when the process is gone, and rejects when it does not go. */
  async died(): Promise<Exit> {
    return this.#wait(() => this.#exit, 'to die')
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    if (!this.alive) return
    this.#child.kill('SIGKILL')
    await this.exited
  }

  /** Everything that must never happen, in words. */
  get faults(): readonly string[] {
    return this.reports.flatMap((report) => (report.kind === 'fault' ? [`${this.name}: ${report.text}`] : []))
  }

  /** The last that was heard of it, for the message of a failed test. */
  story(): string {
    const state = this.#exit === undefined ? 'alive' : `ended with ${this.#exit.signal ?? this.#exit.code}`
    const last = this.reports.slice(-25).map((report) => `  ${JSON.stringify(report).slice(0, 300)}`)
    return [`${this.name} ${this.pid}, ${state}`, ...last, this.#stderr].join('\n')
  }

  #wait<T>(look: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      const waiter = {
        look: () => {
          const found = look()
          if (found === undefined && this.alive) return
          end()
          if (found !== undefined) resolve(found)
          else reject(new ProcessDied(`${this.name} ${this.pid} died while it was expected ${what}`))
        },
      }
      const timer = setTimeout(() => {
        end()
        reject(new Error(`${this.name} ${this.pid} was expected ${what}, for ${BOUND} ms`))
      }, BOUND)
      this.#waiters.add(waiter)
      waiter.look()
    })
  }

  #changed(): void {
    for (const { look } of this.#waiters) look()
    this.#told()
  }
}

function isEvent(report: Report, name: string): report is Report & { kind: 'event' } {
  return report.kind === 'event' && report.name === name
}
