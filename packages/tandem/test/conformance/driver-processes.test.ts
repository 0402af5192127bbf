// Several processes on one file: they wait for each other without blocking their event loops, and no SQLITE_BUSY comes out.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Order, Report } from './driver-process.ts'

const script = new URL('driver-process.ts', import.meta.url)

class Worker {
  readonly #child: ChildProcess
  readonly #reports: Report[] = []
  #heard: () => void = () => undefined

  constructor(library: string, file: string) {
    this.#child = fork(script, [library, file], {
      execArgv: ['--conditions=tandem-source', '--disable-warning=ExperimentalWarning'],
    })
    const hear = (report: Report): void => {
      this.#reports.push(report)
      this.#heard()
    }
    this.#child.on('message', hear)
    this.#child.on('exit', (code) => code !== 0 && hear({ failed: `exited with ${code}` }))
  }

  order(order: Order): void {
    this.#child.send(order)
  }

  /** Waits for this very report to be the next one. */
  async did(what: string): Promise<void> {
    if (this.#reports.length === 0) await new Promise<void>((resolve) => (this.#heard = resolve))
    expect(this.#reports.shift()).toEqual({ did: what })
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    if (this.#child.connected) this.#child.disconnect()
    await exited
  }
}

describe.each(['node-sqlite', 'better-sqlite3'])('%s', (library) => {
  let folder = ''
  let workers: Worker[] = []
  const start = (count: number): void => {
    workers = Array.from({ length: count }, () => new Worker(library, join(folder, 'test.db')))
  }
  const rows = (): unknown => {
    const db = new DatabaseSync(join(folder, 'test.db'))
    const found = db.prepare('SELECT count(*) AS n FROM t').get()?.['n']
    db.close()
    return found
  }

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tandem-driver-'))
  })
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.end()))
    rmSync(folder, { recursive: true, maxRetries: 3 })
  })

  test('opening one new file at the same moment, then writing in turns', async () => {
    start(3)
    await Promise.all(workers.map((worker) => worker.did('open')))
    for (const worker of workers) worker.order({ do: 'write', times: 100 })
    await Promise.all(workers.map((worker) => worker.did('wrote')))
    expect(rows()).toBe(600)
  }, 30_000)

  test('waiting for a transaction that awaits in another process, with the event loop turning', async () => {
    start(2)
    const [holder, waiter] = workers as [Worker, Worker]
    await Promise.all(workers.map((worker) => worker.did('open')))
    holder.order({ do: 'hold' })
    await holder.did('held')
    waiter.order({ do: 'wait' })
    await waiter.did('ticked')
    holder.order({ do: 'release' })
    await holder.did('released')
    await waiter.did('waited')
    expect(rows()).toBe(2)
  }, 30_000)

  test('after the process that had the lock was killed', async () => {
    start(2)
    const [holder, waiter] = workers as [Worker, Worker]
    await Promise.all(workers.map((worker) => worker.did('open')))
    holder.order({ do: 'hold' })
    await holder.did('held')
    waiter.order({ do: 'wait' })
    await waiter.did('ticked')
    await holder.kill()
    await waiter.did('waited')
    expect(rows()).toBe(1)
  }, 30_000)
})
