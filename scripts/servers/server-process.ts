import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds that a start may take, with the recovery after a crash. */
const START_TIMEOUT = 30_000
const LOOK_EVERY = 20
const KEPT_LINES = 200

/** Whom servers run as: most of them refuse to be root. */
export const serverUser: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

export interface ServerProgram {
  /** For messages. */
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** The file that its output is added to. */
  readonly log: string
  /** Leave it running when this process ends. */
  readonly detached?: boolean
  /** Whether it answers. Asked again and again while it starts. */
  readonly isReady: (pid: number) => boolean | Promise<boolean>
}

/** A server as a process of its own. Its output goes to a file, so that it can outlive whoever has started it. */
export class ServerProcess {
  readonly #program: ServerProgram
  #child: ChildProcess | undefined

  constructor(program: ServerProgram) {
    this.#program = program
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** What the server has logged last. */
  get log(): string {
    const { log } = this.#program
    return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').slice(-KEPT_LINES).join('\n') : ''
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT
    // After a kill, what the old server had taken is free only when its last process has gone.
    while (!(await this.#tryStart(deadline))) {
      if (performance.now() > deadline) throw new Error(`${this.#program.name} does not start:\n${this.log}`)
      await delay(50)
    }
  }

  /** Sends the signal to its main process, and waits until that has ended. */
  stop(signal: NodeJS.Signals): Promise<void> {
    return this.#end((pid) => process.kill(pid, signal))
  }

  /** Kills every process of the server at once, as losing the machine would. */
  kill(): Promise<void> {
    return this.#end((pid) => signalTree(pid, 'SIGKILL'))
  }

  /** To every process of the server; it may have ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.pid !== undefined) signalTree(this.pid, signal)
  }

  /** @returns false if it has ended, or time was up, before it was ready */
  async #tryStart(deadline: number): Promise<boolean> {
    const { program, args, cwd, env, log, detached = false, isReady } = this.#program
    const output = openSync(log, 'a')
    const child = spawn(program, args, {
      ...serverUser,
      cwd,
      env: { ...process.env, ...env },
      detached,
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    let ended = false
    child.once('error', () => (ended = true))
    child.once('exit', () => (ended = true))
    this.#child = child
    // Whoever is told to end meanwhile does not leave it behind, detached or not.
    const killed = (): void => this.signal('SIGKILL')
    process.once('exit', killed)
    // A test that fails half-way must not keep this process alive.
    child.unref()
    try {
      while (!ended && child.pid !== undefined) {
        if (await isReady(child.pid)) return true
        if (performance.now() > deadline) await this.kill()
        else await delay(LOOK_EVERY)
      }
      this.#child = undefined
      return false
    } finally {
      process.off('exit', killed)
    }
  }

  async #end(act: (pid: number) => void): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.ref()
    const ended = once(child, 'exit')
    act(child.pid)
    await ended
  }
}

/** Sends a signal to a process and all that come from it. Those that have gone meanwhile do not matter. */
export function signalTree(pid: number, signal: NodeJS.Signals): void {
  // The children first: they end by themselves when they see that their parent has gone.
  for (const one of [...childrenOf(pid), pid]) {
    try {
      process.kill(one, signal)
    } catch {
      // It has gone.
    }
  }
}

/** Elsewhere than on Linux there is no cheap way to know; the children of a killed server end by themselves. */
function childrenOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
    return children.flatMap((child) => [...childrenOf(child), child])
  } catch {
    return []
  }
}
