import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serverUser } from './server-process.ts'

/** Where the files of one server are: a folder that belongs to the user that the server runs as. */
export class ServerFolder {
  readonly root: string
  readonly #isNew: boolean
  #atExit: (() => void) | undefined

  /** @param folder default: a temporary one */
  constructor(name: string, folder?: string) {
    this.#isNew = folder === undefined || !existsSync(folder)
    this.root = folder ?? mkdtempSync(join(tmpdir(), `tandem-${name}-`))
    this.make('.')
  }

  path(inside: string): string {
    return join(this.root, inside)
  }

  /** Makes a folder in it, where there is none. */
  make(inside: string): void {
    const path = this.path(inside)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const { uid, gid } = serverUser
    if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid)
  }

  /** So that a run which is ended half-way leaves nothing behind. */
  removeAtExit(kill: () => void): void {
    this.#atExit = () => {
      kill()
      this.abandon()
    }
    process.once('exit', this.#atExit)
  }

  remove(): void {
    if (this.#atExit !== undefined) process.off('exit', this.#atExit)
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
  }

  /** What was made for a server that has not come up, or is not shut down as it should be. */
  abandon(): void {
    if (this.#isNew) this.remove()
  }
}
