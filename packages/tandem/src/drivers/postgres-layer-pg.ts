import { guardClient, textOf, type PgClient } from './postgres-pg-client.ts'
import type { Guard } from './postgres-transaction.ts'
import type { Lent } from './shared-layer.ts'

const BOUNDARY = /^\s*(?:BEGIN|START TRANSACTION|COMMIT|ROLLBACK)\s*;?\s*$/i
const NOTHING = { rows: [], rowCount: null, command: '' }

/** A client that answers the library's own BEGIN, COMMIT and ROLLBACK, and does nothing for them. */
export function lendClient(raw: PgClient): Lent<PgClient, Guard> {
  let client = raw
  let isWorking = false
  type Query = (config: unknown, values: unknown, callback: unknown) => unknown
  const query: Query = (config, values, callback) => {
    if (!isWorking && BOUNDARY.test(textOf(config) ?? '')) return answer(config, values, callback)
    return (client.query as Query)(config, values, callback)
  }
  // What a library notes on its client stays here, and does not outlive the transaction.
  const own = new Map<string | symbol, unknown>([
    ['query', query],
    ['release', () => undefined],
  ])
  const connection = new Proxy(raw, {
    get: (_, name) => (own.has(name) ? own.get(name) : bound(client, name)),
    set: (_, name, value) => {
      own.set(name, value)
      return true
    },
    deleteProperty: (_, name) => own.delete(name),
    has: (_, name) => own.has(name) || name in client,
  })
  return {
    connection,
    handOut: (guard) => {
      client = guardClient(raw, guard)
      isWorking = true
    },
    workEnded: () => {
      isWorking = false
    },
  }
}

function bound(target: PgClient, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target)
  return typeof value === 'function' ? (value.bind(target) as unknown) : value
}

/** In the form that the call asks for: a callback or a promise. */
function answer(config: unknown, values: unknown, callback: unknown): unknown {
  const given = [values, callback, (config as { callback?: unknown } | null)?.callback]
  const heard = given.find((one) => typeof one === 'function') as ((error: null, result: unknown) => void) | undefined
  if (heard === undefined) return Promise.resolve(NOTHING)
  process.nextTick(heard, null, NOTHING)
  return undefined
}
