import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Mailbox, type Letter } from './mailbox.ts'

/** Milliseconds after which a child that owes a report counts as hung: longer than any bench takes. */
const LONGEST_SILENCE = 300_000

/** A part of a bench that runs in a process of its own: a module that uses `./parent.ts`. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #mailbox = new Mailbox()
  readonly #ended: Promise<void>

  /** @param parameters JSON; the child gets it by `parameters()` */
  constructor(program: URL, parameters: unknown) {
    const file = fileURLToPath(program)
    this.#process = fork(file, [JSON.stringify(parameters)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', (letter: Letter) => this.#mailbox.put(letter))
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#mailbox.close(new Error(`${file} ended (${how}) before it had reported what it should`))
        resolve()
      }
      this.#process.on('exit', (code, signal) => end(signal ?? `exit code ${code}`))
      this.#process.on('error', (error) => end(error.message))
    })
  }

  tell(name: string, value?: unknown): void {
    this.#process.send({ name, value })
  }

  /** Resolves to what the child reports next under this name. Rejects when the child ends first, or reports nothing for five minutes. */
  async told<T>(name: string): Promise<T> {
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), LONGEST_SILENCE)
    try {
      return (await this.#mailbox.next(name)) as T
    } finally {
      clearTimeout(timer)
    }
  }

  /** Lets the child end by itself (it stops when its parent is gone), and kills it after ten seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.connected) this.#process.disconnect()
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 10_000)
    await this.#ended
    clearTimeout(timer)
  }
}
