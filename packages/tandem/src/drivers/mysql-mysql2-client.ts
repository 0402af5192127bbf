import { TandemError } from '../core/errors.ts'
import type { CoreConnection } from './mysql-mysql2-core.ts'
import type { Guard } from './mysql-transaction.ts'

type Call = (...args: unknown[]) => unknown
type Callback = (error: unknown) => void

/**
 * The connection for as long as its transaction is open: afterwards, and for what would end it, every call that runs something fails.
 * Everything else is the connection's own, so that whatever wraps a connection can wrap this one.
 */
export function guardConnection(core: CoreConnection, guard: Guard): CoreConnection {
  const checked =
    (name: string): Call =>
    (...args) => {
      try {
        guard.checkStatement(textOf(args[0]))
      } catch (error) {
        return refuse(error, args)
      }
      return (Reflect.get(core, name) as Call).apply(core, args)
    }
  const refused =
    (name: string): Call =>
    (...args) =>
      refuse(refusalOf(name), args)
  const own = new Map<string | symbol, Call>([
    ...['query', 'execute', 'prepare'].map((name): [string, Call] => [name, checked(name)]),
    ...REFUSED.map((name): [string, Call] => [name, refused(name)]),
    // Pools that are made of one connection give it back after each statement.
    ['release', () => undefined],
  ])
  const guarded: CoreConnection = new Proxy(core, {
    get: (target, name) => {
      const replaced = own.get(name)
      if (replaced !== undefined) return replaced
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(name === 'promise' ? guarded : target) as unknown) : value
    },
  })
  return guarded
}

const REFUSED = ['beginTransaction', 'commit', 'rollback', 'changeUser', 'reset', 'end', 'destroy', 'close']

function refusalOf(method: string): TandemError {
  return new TandemError(
    'TRANSACTION_INVALID',
    `refused to call ${method}() on the connection of a transaction: Tandem begins and ends its transactions itself. Return to commit, ` +
      'throw to roll back; savepoints are allowed',
  )
}

export function textOf(statement: unknown): string | undefined {
  if (typeof statement === 'string') return statement
  const { sql } = (statement ?? {}) as { readonly sql?: unknown }
  return typeof sql === 'string' ? sql : undefined
}

/** To the callback, where there is one. */
function refuse(error: unknown, args: readonly unknown[]): undefined {
  const callback = args.find((one) => typeof one === 'function') as Callback | undefined
  if (callback === undefined) throw error
  process.nextTick(callback, error)
  return undefined
}
