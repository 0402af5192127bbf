import { spawn, type ChildProcess } from 'node:child_process'
import { text as readAll } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { emptyWorld, NOW, type World } from '../../../tandem/test/unit/admin/world.ts'
import type { Io } from '../../src/io.ts'
import { run } from '../../src/run.ts'

export const CONFIG: string = fileURLToPath(new URL('../fixtures/tandem.config.ts', import.meta.url))
const BIN = fileURLToPath(new URL('../../src/bin.ts', import.meta.url))

export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Person {
  /** What the person at the terminal answers; nobody is there without it. */
  readonly answer?: string
  readonly edit?: (text: string) => string
  readonly input?: string
  readonly columns?: number
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Runs the command in this process, 90 s after the databases' clock. */
export async function call(args: readonly string[], person: Person = {}): Promise<Result> {
  const { io, out, err } = ioOf(person)
  const code = await run(args, io)
  return { code, stdout: out.join(''), stderr: err.join('') }
}

export function ioOf(person: Person): {
  readonly io: Io
  readonly out: readonly string[]
  readonly err: readonly string[]
} {
  const { answer, edit, columns } = person
  const out: string[] = []
  const err: string[] = []
  const io: Io = {
    stdout: { write: (text) => void out.push(text), isTTY: columns !== undefined, columns },
    stderr: { write: (text) => void err.push(text), isTTY: columns !== undefined, columns },
    ask:
      answer === undefined
        ? undefined
        : (question) => {
            err.push(question)
            return Promise.resolve(answer)
          },
    edit: edit === undefined ? undefined : (text) => Promise.resolve(edit(text)),
    readInput: () => Promise.resolve(person.input ?? ''),
    env: person.env ?? {},
    cwd: person.cwd ?? '/',
    user: 'kim',
    now: () => NOW + 90_000,
    enter: () => undefined,
    interruptible: (work) => work(new AbortController().signal),
  }
  return { io, out, err }
}

/** The same with the configuration of a world. */
export interface CliWorld extends World {
  tandem(...args: readonly string[]): Promise<Result>
  tandemWith(person: Person, ...args: readonly string[]): Promise<Result>
}

export async function cliWorld(options?: { readonly migrated: boolean }): Promise<CliWorld> {
  const world = await emptyWorld(options)
  process.env['TANDEM_TEST_FOLDER'] = world.folder
  const tandemWith = (person: Person, ...args: readonly string[]): Promise<Result> =>
    call([...args, '--config', CONFIG], person)
  return { ...world, tandemWith, tandem: (...args) => tandemWith({}, ...args) }
}

/** Starts the command as a process of its own. */
export function start(world: World, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, ['--conditions=tandem-source', BIN, ...args, '--config', CONFIG], {
    env: { ...process.env, TANDEM_TEST_FOLDER: world.folder, TANDEM_TEST_CHILD: '1', NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** A text that contains this, where a text is expected. */
export function containing(text: string): unknown {
  return expect.stringContaining(text)
}

export function matching(pattern: RegExp): unknown {
  return expect.stringMatching(pattern)
}

/** Runs the command as a process of its own. */
export async function spawned(world: World, ...args: readonly string[]): Promise<Result> {
  const child = start(world, args)
  const ended = endOf(child)
  const [stdout, stderr] = await Promise.all([readAll(child.stdout!), readAll(child.stderr!)])
  return { code: await ended, stdout, stderr }
}

export function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => (code === null ? reject(new Error(`ended by ${signal}`)) : resolve(code)))
  })
}
