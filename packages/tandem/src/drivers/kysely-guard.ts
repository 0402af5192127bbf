import type { Guard } from './postgres-transaction.ts'

/** A plugin, as Kysely takes it. */
export interface KyselyPlugin {
  transformQuery<Node>(args: { readonly node: Node }): Node
  transformResult<Result>(args: { readonly result: Result }): Promise<Result>
}

/** Refuses what is built or run on the transaction of a handler when it has ended, and always what would end it. Changes nothing. */
export class KyselyGuard implements KyselyPlugin {
  readonly guard: Guard

  constructor(guard: Guard) {
    this.guard = guard
  }

  transformQuery<Node>({ node }: { readonly node: Node }): Node {
    const { kind, sqlFragments } = node as { readonly kind?: unknown; readonly sqlFragments?: readonly string[] }
    this.guard.checkStatement(kind === 'RawNode' ? sqlFragments?.join(' ? ') : undefined)
    return node
  }

  transformResult<Result>({ result }: { readonly result: Result }): Promise<Result> {
    return Promise.resolve(result)
  }
}
