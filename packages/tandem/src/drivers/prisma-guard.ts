import type { Prisma } from './prisma-client.ts'
import type { Guard } from './postgres-transaction.ts'

/** What is under way in a transaction, also what nobody waits for. */
export class Pending {
  readonly #all = new Set<Promise<unknown>>()

  add<T>(one: Promise<T>): Promise<T> {
    this.#all.add(one)
    const remove = (): void => void this.#all.delete(one)
    one.then(remove, remove)
    return one
  }

  async settled(): Promise<void> {
    while (this.#all.size > 0) await Promise.allSettled(this.#all)
  }
}

type Call = (...args: unknown[]) => unknown

/** Of Prisma: runs when somebody waits for it. */
interface Lazy {
  then(resolved: unknown, rejected?: unknown): Promise<unknown>
}

/**
 * The client of a transaction for as long as it is open: afterwards everything that would run a statement is refused, also what was made
 * before, and statements that would end it always are.
 */
export function guardClient(tx: Prisma, guard: Guard, pending: Pending): Prisma {
  return new Proxy(tx, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (name === '$transaction') return guardNested(value as Call, target, guard, pending)
      if (typeof value === 'function') return guardCall(value as Call, target, guard, pending)
      const isModel = typeof name === 'string' && !/^[$_]/.test(name) && typeof value === 'object' && value !== null
      return isModel ? guardModel(value, guard, pending) : value
    },
  })
}

function guardModel(model: object, guard: Guard, pending: Pending): object {
  return new Proxy(model, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? guardCall(value as Call, target, guard, pending) : value
    },
  })
}

function guardCall(call: Call, target: object, guard: Guard, pending: Pending): Call {
  return (...args) => guardPromise(call.apply(target, args), textOf(args[0]), guard, pending)
}

/** A nested transaction, which is a savepoint: of the two forms, that with a callback gives a client of its own, which ends before the guard. */
function guardNested(call: Call, target: object, guard: Guard, pending: Pending): Call {
  return async (work, ...rest) => {
    guard.check()
    const inner =
      typeof work === 'function' ? (client: Prisma) => (work as Call)(guardClient(client, guard, pending)) : work
    return pending.add(call.call(target, inner, ...rest) as Promise<unknown>)
  }
}

function guardPromise(made: unknown, sql: string | undefined, guard: Guard, pending: Pending): unknown {
  if (typeof (made as Partial<Lazy> | null | undefined)?.then !== 'function') return made
  const lazy = made as Lazy & object
  let running: Promise<unknown> | undefined
  const run = (): Promise<unknown> => {
    running ??= start()
    return running
  }
  const start = async (): Promise<unknown> => {
    guard.checkStatement(sql)
    return pending.add(lazy.then(undefined))
  }
  return new Proxy(lazy, {
    get: (promise, name) => {
      if (name === 'then' || name === 'catch' || name === 'finally') {
        return (...args: never[]) => (run()[name] as (...given: never[]) => unknown).apply(run(), args)
      }
      const value: unknown = Reflect.get(promise, name)
      if (typeof value !== 'function') return value
      // A relation of what is found, for example.
      return (...args: unknown[]) => guardPromise((value as Call).apply(promise, args), undefined, guard, pending)
    },
  })
}

/** The statement in what one of the methods for SQL is given: text, the parts of a template, or an object of Prisma's `sql`. */
function textOf(given: unknown): string | undefined {
  if (typeof given === 'string') return given
  const { sql, strings } = (given ?? {}) as { readonly sql?: unknown; readonly strings?: unknown }
  if (typeof sql === 'string') return sql
  const parts: unknown = Array.isArray(given) ? given : strings
  return Array.isArray(parts) && parts.every((part) => typeof part === 'string') ? parts.join(' ? ') : undefined
}
