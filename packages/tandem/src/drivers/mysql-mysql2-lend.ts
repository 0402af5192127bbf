import { guardConnection, textOf } from './mysql-mysql2-client.ts'
import type { CoreConnection, QueryCallback } from './mysql-mysql2-core.ts'
import type { Guard } from './mysql-transaction.ts'
import type { Lent } from './shared-layer.ts'

// The level has to be said before a transaction is open, which it is.
const BOUNDARY = /^\s*(?:BEGIN|START TRANSACTION|SET TRANSACTION ISOLATION LEVEL [A-Z ]+|COMMIT|ROLLBACK)\s*;?\s*$/i
const NOTHING = { affectedRows: 0, info: '' }

/** A connection that answers the library's own BEGIN, COMMIT and ROLLBACK, and does nothing for them. */
export function lendConnection(raw: CoreConnection): Lent<CoreConnection, Guard> {
  let core = raw
  let isWorking = false
  type Call = (...args: unknown[]) => unknown
  const run =
    (name: 'query' | 'execute'): Call =>
    (...args) => {
      if (isWorking || !BOUNDARY.test(textOf(args[0]) ?? '')) return (Reflect.get(core, name) as Call)(...args)
      const callback = args.find((one) => typeof one === 'function') as QueryCallback
      process.nextTick(callback, null, NOTHING)
      return undefined
    }
  // What a library notes on its connection stays here, and does not outlive the transaction.
  const own = new Map<string | symbol, unknown>([
    ['query', run('query')],
    ['execute', run('execute')],
    ['release', () => undefined],
  ])
  const connection: CoreConnection = new Proxy(raw, {
    get: (_, name) => {
      if (own.has(name)) return own.get(name)
      // The one with promises is around this one, too.
      if (name === 'promise') return raw.promise.bind(connection)
      const value: unknown = Reflect.get(core, name, core)
      return typeof value === 'function' ? (value.bind(core) as unknown) : value
    },
    set: (_, name, value) => {
      own.set(name, value)
      return true
    },
    deleteProperty: (_, name) => own.delete(name),
    has: (_, name) => own.has(name) || name in core,
  })
  return {
    connection,
    handOut: (guard) => {
      core = guardConnection(raw, guard)
      isWorking = true
    },
    workEnded: () => {
      isWorking = false
    },
  }
}
