import { TandemError } from '../core/errors.ts'
import { classify } from './postgres-failures.ts'
import type { Guard } from './postgres-transaction.ts'

/** A query of postgres.js, as far as the driver uses it. It is run when somebody waits for it. */
export interface PostgresJsQuery extends PromiseLike<unknown> {
  raw(): PromiseLike<unknown>
  cancel(): unknown
  /** Null until a connection has taken it. */
  readonly state?: unknown
}

/** What the callback of `sql.begin` is given, as far as the driver uses it. */
export interface PostgresJsTransactionSql {
  unsafe(
    text: string,
    parameters?: never[],
    options?: { readonly prepare?: boolean; readonly simple?: boolean; readonly onexecute?: () => boolean },
  ): PostgresJsQuery
}

/** The parts of a query that run and end it. */
interface QueryParts {
  strings: readonly string[]
  handler: (query: QueryParts) => unknown
  reject: (error: unknown) => unknown
}

const LOST = 'was rolled back, for its connection was lost'

/**
 * The `sql` of a transaction for as long as it is open: afterwards, and for statements that would end it, every query fails, also one that
 * was made before and is run only now.
 */
export function guardSql<T extends PostgresJsTransactionSql>(sql: T, guard: Guard): T {
  type Call = (...args: unknown[]) => unknown
  const { unsafe, file, savepoint } = sql as unknown as Record<string, Call>
  const own: Readonly<Record<string | symbol, Call>> = {
    unsafe: (...args) => guardQuery(unsafe?.(...args), guard),
    file: (...args) => guardQuery(file?.(...args), guard),
    savepoint: (...args) => {
      guard.check()
      const callback = args.at(-1)
      if (typeof callback !== 'function') return savepoint?.(...args)
      const guarded = (inner: T): unknown => (callback as Call)(guard.protect(guardSql(inner, guard)))
      return savepoint?.(...args.slice(0, -1), guarded)
    },
    prepare: () => {
      throw new TandemError('TRANSACTION_INVALID', 'prepare() in a transaction that Tandem ends itself')
    },
  }
  return new Proxy(sql, {
    apply: (target, self, args) => guardQuery(Reflect.apply(target as unknown as Call, self, args), guard),
    get: (target, name) => (Object.hasOwn(own, name) ? own[name] : (Reflect.get(target, name) as unknown)),
  })
}

/** Leaves everything alone that is no query: identifiers and lists of values are made by the same function. */
function guardQuery(made: unknown, guard: Guard): unknown {
  const query = made as Partial<QueryParts> | undefined
  if (typeof query?.handler !== 'function' || typeof query.reject !== 'function') return made
  const { handler, reject } = query
  query.handler = (self) => {
    try {
      guard.checkStatement(self.strings.join(' ? '))
    } catch (error) {
      return self.reject(error)
    }
    return handler(self)
  }
  query.reject = (error) => {
    // Before the code that waits for the query gets to run another one on a connection that is not there.
    if (isLoss(error)) guard.end(LOST)
    return reject(error)
  }
  return query
}

function isLoss(error: unknown): boolean {
  const { severity } = (error ?? {}) as { severity?: unknown }
  return severity === undefined ? classify(error) === 'unavailable' : severity === 'FATAL' || severity === 'PANIC'
}
