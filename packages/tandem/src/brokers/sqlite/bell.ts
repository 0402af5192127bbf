import { closeSync, openSync, utimesSync, watch, type FSWatcher } from 'node:fs'

/** A watcher that failed is tried again after this many milliseconds. */
const WATCH_AGAIN = 1000
/** For this many milliseconds after a ring that did not get through, the bell is not relied upon. */
const DISTRUST = 60_000

/**
 * Tells the readers of a broker file that there is something new, in this process at once and in others through a file next to the
 * database whose time is set (inotify and its like). A ring may get lost: whoever listens also polls, slowly.
 */
export class Bell {
  readonly #path: string | undefined
  readonly #listeners = new Set<() => void>()
  #watcher: FSWatcher | undefined
  #retry: NodeJS.Timeout | undefined
  #rung = false
  #heard = false
  #distrustedAt = -Infinity

  /** @param path the bell file; undefined when no other process can see the database */
  constructor(path: string | undefined) {
    this.#path = path
  }

  /** Wakes everybody who listens. Rings of the same moment are one. Never throws. */
  ring(): void {
    if (this.#rung) return
    this.#rung = true
    queueMicrotask(() => {
      this.#rung = false
      if (this.#path !== undefined) touch(this.#path)
      this.#tell()
    })
  }

  /** Whether rings of other processes get through, as far as is known. The first one is our own, to ourselves. */
  get isReliable(): boolean {
    return this.#path === undefined || (this.#heard && performance.now() - this.#distrustedAt > DISTRUST)
  }

  /** Somebody found something new that no ring had told of. */
  missed(): void {
    this.#distrustedAt = performance.now()
  }

  /** @returns what ends the listening */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    this.#watch()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#unwatch()
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  #watch(): void {
    if (this.#path === undefined || this.#watcher !== undefined || this.#retry !== undefined) return
    try {
      // The watch is on the file, not its name: it must be there, and be watched anew when it is replaced.
      touch(this.#path)
      const watcher = watch(this.#path, { persistent: false })
      this.#watcher = watcher
      watcher.on('change', (event) => {
        this.#heard = true
        if (event === 'rename') this.#watchAgain(0)
        this.#tell()
      })
      watcher.on('error', () => this.#watchAgain(WATCH_AGAIN))
      touch(this.#path)
    } catch {
      this.#watchAgain(WATCH_AGAIN)
    }
  }

  #watchAgain(delay: number): void {
    this.#unwatch()
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      if (this.#listeners.size > 0) this.#watch()
    }, delay)
    this.#retry.unref()
  }

  #unwatch(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#watcher?.close()
    this.#watcher = undefined
    this.#heard = false
  }
}

function touch(path: string): void {
  const now = Date.now() / 1000
  try {
    utimesSync(path, now, now)
  } catch {
    try {
      closeSync(openSync(path, 'a'))
      utimesSync(path, now, now)
    } catch {
      // No bell file, for example in a folder that cannot be written: the readers poll.
    }
  }
}

const bells = new Map<string, Bell>()
const bellsWithoutFile = new WeakMap<object, Bell>()

/** The bell of a database: one for all brokers of this process. A database without a file is known by its driver. */
export function bellOf(file: string | undefined, driver: object): Bell {
  const path = file === undefined ? undefined : `${file}-bell`
  const found = path === undefined ? bellsWithoutFile.get(driver) : bells.get(path)
  if (found !== undefined) return found
  const bell = new Bell(path)
  if (path === undefined) bellsWithoutFile.set(driver, bell)
  else bells.set(path, bell)
  return bell
}
