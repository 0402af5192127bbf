import { TandemError } from '../core/errors.ts'
import { runOn, type Command, type CoreConnection } from './mysql-mysql2-core.ts'
import type { Session, SessionObserver } from './mysql-mysql2-session.ts'

interface Waiting {
  readonly command: Command
  /** Belongs to the end of the transaction, and is sent in any case. */
  readonly isOwn: boolean
}

/**
 * Stands before a connection while a transaction of Tandem is open on it. When MySQL rolls a transaction back by itself, whatever comes next
 * is a transaction of its own and committed at once: the statements behind the one that failed, which may be waiting already, must not
 * reach the server. So they go through one by one, and none while it is not known whether the transaction is still open.
 */
export class Gate implements SessionObserver {
  readonly #core: CoreConnection
  readonly #session: Session
  readonly #onEnd: (how: string, cause: unknown) => void
  readonly #add: ((command: Command) => Command) | undefined
  readonly #waiting: Waiting[] = []
  #current: Waiting | undefined
  #isOwn = false
  #isUrgent = false
  #failed: Error | undefined
  #broken: TandemError | undefined
  /** Whether statements may commit, as those of a migration do. */
  lets = false

  /** @param onEnd told when the transaction has ended before its time */
  constructor(core: CoreConnection, session: Session, onEnd: (how: string, cause: unknown) => void) {
    this.#core = core
    this.#session = session
    this.#onEnd = onEnd
    if (!session.isFollowed || core.addCommand === undefined) return
    this.#add = core.addCommand
    core.addCommand = this.#enqueue
    session.observer = this
  }

  /** What everything fails with, once the transaction has ended before its time. */
  get broken(): TandemError | undefined {
    return this.#broken
  }

  /** Runs COMMIT, for example, behind all that is waiting. */
  run(sql: string): Promise<unknown> {
    this.#isOwn = true
    try {
      return runOn(this.#core, sql)
    } finally {
      this.#isOwn = false
    }
  }

  /** The connection is lost: nobody answers to what is waiting. */
  lose(error: Error): void {
    for (const { command } of this.#waiting.splice(0)) fail(command, error)
  }

  remove(): void {
    if (this.#add === undefined) return
    // The library has put a refusal there if it has closed the connection.
    if (this.#core.addCommand === this.#enqueue) this.#core.addCommand = this.#add
    this.#session.observer = undefined
    if (this.#waiting.length === 0) return
    this.lose(new TandemError('TRANSACTION_ENDED', 'the transaction has ended; nothing can be run in it any more'))
  }

  ended(error: Error | undefined): void {
    if (this.#current?.isOwn === true || (error === undefined && this.lets)) return
    const cause = error ?? this.#failed
    this.#break(
      cause === undefined
        ? 'was committed by the database, as one of its statements does'
        : `was rolled back by the database: ${cause.message}`,
      cause,
    )
  }

  unknown(error: Error): void {
    if (this.#current?.isOwn === true || this.#broken !== undefined) return
    if (this.#failed !== undefined)
      return this.#break(`may have been rolled back: ${this.#failed.message}`, this.#failed)
    this.#failed = error
    this.#isUrgent = true
    const asked = this.#session.learn()
    this.#isUrgent = false
    asked.then(
      () => (this.#failed = undefined),
      // Whoever waits gets the error of the connection.
      () => undefined,
    )
  }

  idle(): void {
    while (this.#waiting.length > 0 && (this.#core._command ?? undefined) === undefined) {
      this.#current = this.#waiting.shift()
      if (this.#current !== undefined) this.#add?.call(this.#core, this.#current.command)
    }
  }

  readonly #enqueue = (command: Command): Command => {
    const one = { command, isOwn: this.#isOwn }
    if (this.#broken !== undefined && !one.isOwn) fail(command, this.#broken)
    else if (this.#isUrgent) this.#waiting.unshift(one)
    else this.#waiting.push(one)
    this.idle()
    return command
  }

  #break(how: string, cause: unknown): void {
    const text = `this transaction ${how}; nothing can be run in it any more`
    this.#broken ??= new TandemError('TRANSACTION_ENDED', text, { cause })
    this.#onEnd(how, cause)
    const all = this.#waiting.splice(0)
    this.#waiting.push(...all.filter(({ isOwn }) => isOwn))
    for (const { command, isOwn } of all) if (!isOwn) fail(command, this.#broken)
  }
}

function fail(command: Command, error: Error): void {
  if (command.onResult !== undefined) command.onResult(error)
  // Thrown where nobody listens.
  else if (command.listenerCount('error') > 0) command.emit('error', error)
}
