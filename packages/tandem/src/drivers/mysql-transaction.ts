import { TandemError } from '../core/errors.ts'
import { effectOf } from './mysql-statements.ts'

/** Every transaction object that a driver has handed out, of any driver of this copy of the package. */
const known = new WeakMap<object, Guard>()

/** Knows whether the transaction behind an object that a driver has handed out is still open. */
export class Guard {
  /** The library's own object: a connection, for example. */
  readonly raw: object
  #end: { readonly how: string; readonly cause: unknown } | undefined

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
  end(how: string, cause?: unknown): void {
    this.#end ??= { how, cause }
  }

  /** @throws TandemError `TRANSACTION_ENDED` */
  check(): void {
    if (this.#end === undefined) return
    const { how, cause } = this.#end
    throw new TandemError('TRANSACTION_ENDED', `this transaction ${how}; nothing can be run in it any more`, { cause })
  }

  /** @throws TandemError `TRANSACTION_ENDED`, `TRANSACTION_INVALID` if the statement would end the transaction */
  checkStatement(sql: string | undefined): void {
    this.check()
    if (sql !== undefined) refuseTransactionControl(sql)
  }
}

/**
 * @param what also statements that cannot but commit, or only those that are there for it
 * @throws TandemError `TRANSACTION_INVALID` if a statement begins, ends or commits a transaction
 */
export function refuseTransactionControl(
  sql: string,
  what: 'control' | 'control or commit' = 'control or commit',
): void {
  const effect = effectOf(sql)
  if (effect === 'none' || (effect === 'commit' && what === 'control')) return
  throw new TandemError(
    'TRANSACTION_INVALID',
    effect === 'control'
      ? `refused to run ${startOf(sql)}: Tandem begins and ends its transactions itself. Return to commit, throw to roll back; ` +
          'savepoints are allowed'
      : `refused to run ${startOf(sql)}: the database commits the transaction before such a statement. Run it outside of transactions`,
  )
}

function startOf(sql: string): string {
  return JSON.stringify(sql.length > 80 ? `${sql.slice(0, 80)}…` : sql)
}
