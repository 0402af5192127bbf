import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text as readAll } from 'node:stream/consumers'
import type { WriteStream } from 'node:tty'
import type { Io, Output } from './io.ts'

/** The real world. */
export function processIo(): Io {
  const { stdin, stdout, stderr, env } = process
  const interactive = stdin.isTTY && stderr.isTTY
  return {
    stdout: output(stdout),
    stderr: output(stderr),
    ask: interactive ? ask : undefined,
    edit: interactive ? (text) => edit(text, env['VISUAL'] ?? env['EDITOR'] ?? 'vi') : undefined,
    readInput: () => readAll(stdin),
    env,
    cwd: process.cwd(),
    user: userName(),
    now: () => Date.now(),
    enter: (folder) => process.chdir(folder),
    interruptible,
  }
}

function output(stream: WriteStream): Output {
  return {
    // `| head` closes the pipe early: what is written then is lost, and the act goes on to its end.
    write: (text) => void (stream.writable && stream.write(text)),
    isTTY: stream.isTTY,
    get columns() {
      return stream.isTTY ? stream.columns : undefined
    },
  }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry, as in some containers.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await new Promise<string>((resolve) => {
      // Ctrl-C and the end of input are a no.
      lines.once('SIGINT', () => {
        process.stderr.write('\n')
        resolve('')
      })
      lines.once('close', () => resolve(''))
      lines.question(question, resolve)
    })
  } finally {
    lines.close()
  }
}

async function edit(text: string, editor: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-'))
  try {
    const file = join(folder, 'payload.json')
    await writeFile(file, text, { mode: 0o600 })
    // Through the shell, as git does: the variable may hold arguments.
    const child = spawn(`${editor} "${file}"`, { shell: true, stdio: 'inherit' })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    if (code !== 0) throw new Error(`the editor ${editor} ended with code ${code ?? 'none'}; nothing was changed`)
    return await readFile(file, 'utf8')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const onInterrupt = (): void => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', onInterrupt)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}
