import { guardSql, type PostgresJsTransactionSql } from './postgres-js-sql.ts'
import type { Guard } from './postgres-transaction.ts'
import type { Lent } from './shared-layer.ts'

/** The `sql` of a transaction of postgres.js, which ends what it has begun itself. */
export function lendSql(raw: PostgresJsTransactionSql): Lent<PostgresJsTransactionSql, Guard> {
  let sql = raw
  type Call = (...args: unknown[]) => unknown
  const connection = new Proxy(raw, {
    apply: (_, self, args) => Reflect.apply(sql as unknown as Call, self, args),
    get: (_, name) => Reflect.get(sql, name) as unknown,
  })
  return {
    connection,
    handOut: (guard) => {
      sql = guardSql(raw, guard)
    },
    workEnded: () => undefined,
  }
}
