import { TandemError } from '../core/errors.ts'
import type { Guard } from './postgres-transaction.ts'

/** A statement as node-postgres takes it. */
export interface PgStatement {
  readonly text: string
  readonly values?: unknown[]
  readonly name?: string
}

export interface PgResult {
  readonly rows: unknown[]
  readonly rowCount: number | null
  /** The first word of the command tag: `SELECT`, `COMMIT` … */
  readonly command: string
}

/** A client of a pool of node-postgres, as far as the driver uses it. */
export interface PgClient {
  /** A text alone is cheaper for it, and is sent as a simple query. */
  query(statement: PgStatement | string): Promise<PgResult>
  release(error?: Error | boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly database?: string | undefined
}

type Query = (config: unknown, values?: unknown, callback?: unknown) => unknown

/**
 * The client for as long as its transaction is open: afterwards, and for statements that would end it, every form of `query` fails.
 * Everything else is the client's own, so that whatever wraps a client can wrap this one.
 */
export function guardClient<C extends PgClient>(client: C, guard: Guard): C {
  const query: Query = (config, values, callback) => {
    try {
      guard.checkStatement(textOf(config))
    } catch (error) {
      return refuse(error as Error, config, values, callback)
    }
    return (client.query as Query)(config, values, callback)
  }
  const own: Readonly<Record<string | symbol, unknown>> = {
    query,
    // Pools that are made of one client give it back after each statement.
    release: () => undefined,
    connect: () => refuseCall('connect'),
    end: () => refuseCall('end'),
  }
  return new Proxy(client, {
    get: (target, name) => {
      if (Object.hasOwn(own, name)) return own[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** The statement in what `query` is given; undefined where there is none to be found. */
export function textOf(config: unknown): string | undefined {
  if (typeof config === 'string') return config
  if (typeof config !== 'object' || config === null) return undefined
  // A stream of rows keeps its statement in a cursor.
  const { text, cursor } = config as { text?: unknown; cursor?: { text?: unknown } }
  const found = text ?? cursor?.text
  return typeof found === 'string' ? found : undefined
}

/** In the way that the form of the call asks for: a callback, an object that takes the error, or a promise. */
function refuse(error: Error, config: unknown, values: unknown, callback: unknown): unknown {
  const given = [values, callback, (config as { callback?: unknown } | null)?.callback]
  const heard = given.find((one) => typeof one === 'function') as ((error: unknown) => void) | undefined
  if (heard !== undefined) {
    process.nextTick(heard, error)
    return undefined
  }
  const { submit, handleError } = (config ?? {}) as { submit?: unknown; handleError?: (error: unknown) => void }
  if (typeof submit !== 'function') return Promise.reject(error)
  process.nextTick(() => handleError?.call(config, error))
  return config
}

function refuseCall(method: string): never {
  throw new TandemError('TRANSACTION_INVALID', `${method}() on the client of a transaction: Tandem does that itself`)
}
