import { TandemError } from '../core/errors.ts'

/** A client of Prisma, or the one of a transaction, for those who know what goes in. */
export interface Prisma {
  $queryRawUnsafe(sql: string, ...values: unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>
  $executeRawUnsafe(sql: string, ...values: unknown[]): Promise<number>
  $transaction<T>(
    work: (tx: Prisma) => Promise<T>,
    options?: { readonly maxWait?: number; readonly timeout?: number },
  ): Promise<T>
  readonly $connect?: unknown
}

/** What the stack of a transaction's scopes says: it and the nested ones in it, as long as they are open. */
const SCOPE = Symbol.for('prisma.client.transaction.scope_context')

interface Scope {
  readonly scopeId: unknown
  readonly scopeState: { readonly stack: readonly unknown[] }
}

interface Internals {
  readonly _activeProvider?: string
  readonly _engineConfig?: {
    readonly adapter?: {
      readonly adapterName?: string
      readonly config?: {
        readonly connectionString?: string
        readonly host?: string
        readonly port?: number
        readonly database?: string
        readonly max?: number
      }
    }
  }
  readonly [SCOPE]?: Scope
}

export function isPrisma(candidate: unknown): candidate is Prisma {
  const { $queryRawUnsafe, $executeRawUnsafe, $transaction } = (candidate ?? {}) as Partial<Prisma>
  return [$queryRawUnsafe, $executeRawUnsafe, $transaction].every((method) => typeof method === 'function')
}

/** What an interactive transaction gives: a client that cannot connect. */
export function isTransactionClient(candidate: unknown): candidate is Prisma {
  return isPrisma(candidate) && typeof candidate.$connect !== 'function'
}

/** Whether the work of an interactive transaction, or of a nested one, still runs; true where Prisma does not tell. */
export function isOpen(tx: Prisma): boolean {
  const scope = (tx as Internals)[SCOPE]
  return scope === undefined || scope.scopeState.stack.includes(scope.scopeId)
}

/** The database of the schema that the client was made from: `postgresql`, for example. */
export function providerOf(client: Prisma): string | undefined {
  return (client as Internals)._activeProvider
}

/** What identifies the client that a transaction was begun with, however it was extended. */
export function originOf(client: Prisma): object | undefined {
  return (client as Internals)._engineConfig
}

/** How the adapter connects, where it is that of `pg` and tells. */
export function connectionOf(client: Prisma): {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly database?: string | undefined
  readonly max?: number | undefined
} {
  const { adapterName, config } = (client as Internals)._engineConfig?.adapter ?? {}
  if (adapterName !== '@prisma/adapter-pg' || config === undefined) return {}
  const { connectionString, max = 10 } = config
  if (connectionString === undefined || !URL.canParse(connectionString)) return { ...config, max }
  const { hostname, port, pathname, searchParams } = new URL(connectionString)
  const host = searchParams.get('host') ?? hostname
  return { host, port: port === '' ? undefined : Number(port), database: pathname.slice(1), max }
}

/** What Prisma says of a transaction that it has ended, in the words of Tandem; every other error as it is. */
export function translate(error: unknown): unknown {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (code !== 'P2028' || typeof message !== 'string') return error
  if (!/already closed|expired transaction|Transaction not found/.test(message)) return error
  const late = message.includes('expired') ? ', for it took longer than its `timeout`' : ''
  const text = `this transaction has been ended by Prisma${late}; nothing can be run in it any more`
  return new TandemError('TRANSACTION_ENDED', text, { cause: error })
}

/** Whether Prisma had no connection for a transaction in time. */
export function isStartTimeout(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  return code === 'P2028' && typeof message === 'string' && message.includes('Unable to start a transaction')
}
