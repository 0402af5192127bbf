import { TandemError } from '../core/errors.ts'
import { controlsTransaction } from './postgres-statements.ts'

/** Every transaction object that a driver has handed out, of any driver of this copy of the package. */
const known = new WeakMap<object, Guard>()

/** Knows whether the transaction behind an object that a driver has handed out is still open. */
export class Guard {
  /** The library's own object: a client, for example. */
  readonly raw: object
  #end: string | undefined

  constructor(raw: object) {
    this.raw = raw
  }

  /** The guard of an object that a driver has handed out. */
  static of(candidate: unknown): Guard | undefined {
    const isObject = typeof candidate === 'object' || typeof candidate === 'function'
    return isObject && candidate !== null ? known.get(candidate) : undefined
  }

  /** Makes `handedOut` recognisable. */
  protect<T extends object>(handedOut: T): T {
    known.set(handedOut, this)
    return handedOut
  }

  get isOpen(): boolean {
    return this.#end === undefined
  }

  /** From here on `check` throws. `how`: `was committed`, for example. */
  end(how: string): void {
    this.#end ??= how
  }

  /** @throws TandemError `TRANSACTION_ENDED` */
  check(): void {
    if (this.#end === undefined) return
    throw new TandemError('TRANSACTION_ENDED', `this transaction ${this.#end}; nothing can be run in it any more`)
  }

  /** @throws TandemError `TRANSACTION_ENDED`, `TRANSACTION_INVALID` if the statement would end the transaction */
  checkStatement(sql: string | undefined): void {
    this.check()
    if (sql !== undefined) refuseTransactionControl(sql)
  }
}

/** @throws TandemError `TRANSACTION_INVALID` if a statement begins or ends a transaction */
export function refuseTransactionControl(sql: string): void {
  if (!controlsTransaction(sql)) return
  const start = JSON.stringify(sql.length > 80 ? `${sql.slice(0, 80)}…` : sql)
  throw new TandemError(
    'TRANSACTION_INVALID',
    `refused to run ${start}: Tandem begins and ends its transactions itself. Return to commit, throw to roll back; ` +
      'savepoints are allowed',
  )
}
