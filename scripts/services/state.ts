import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What is known of a service that has been started. */
export interface Known {
  readonly pid: number
  readonly port: number
}

/** Where the services of this checkout have their files. Not in the checkout: the servers' user need not be able to enter it. */
export function servicesFolder(): string {
  const checkout = fileURLToPath(new URL('../..', import.meta.url))
  const hash = createHash('sha256').update(checkout).digest('hex').slice(0, 12)
  return join(tmpdir(), `tandem-services-${hash}`)
}

/** What was started, and where, for whoever comes later. */
export class State {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
    if (statSync(folder).uid !== (process.getuid?.() ?? statSync(folder).uid)) {
      throw new Error(`${folder} belongs to somebody else; remove it, or set TMPDIR to a folder of your own`)
    }
    // The servers may be another user's processes.
    chmodSync(folder, 0o755)
  }

  data(name: string): string {
    return join(this.folder, name)
  }

  read(name: string): Known | undefined {
    const file = this.#file(name)
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Known) : undefined
  }

  write(name: string, known: Known): void {
    writeFileSync(this.#file(name), JSON.stringify(known))
  }

  remove(name: string): void {
    rmSync(this.data(name), { recursive: true, force: true, maxRetries: 10 })
    rmSync(this.#file(name), { force: true })
  }

  /** Whether the process that was started is still there; its number may be another's by now. */
  isRunning(name: string): boolean {
    const known = this.read(name)
    if (known === undefined) return false
    try {
      process.kill(known.pid, 0)
    } catch {
      return false
    }
    const commandLine = `/proc/${known.pid}/cmdline`
    return (
      !existsSync('/proc/self') || (existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes(this.folder))
    )
  }

  #file(name: string): string {
    return join(this.folder, `${name}.json`)
  }
}
