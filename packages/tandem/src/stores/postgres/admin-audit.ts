import type { Act, AdminSteps } from '../../spi/admin-store.ts'
import { after } from '../shared/admin-pages.ts'
import { auditRow } from '../shared/admin-rows.ts'
import { clean, cleanOrNull, ms, type PostgresContext } from './context.ts'

/** Writes the audit row of an act in the transaction of the act. */
export type WriteAudit<Tx> = (tx: Tx, act: Act, action: string, target: string) => Promise<void>

export function createWriteAudit<Tx>({ tables, now, run }: PostgresContext<Tx>): WriteAudit<Tx> {
  const sql = `INSERT INTO ${tables.audit} (at, actor, action, target, reason)
    VALUES (${now}, $1::text, $2::text, $3::text, $4::text)`
  return async (tx, act, action, target) => {
    await run(tx, sql, [clean(act.by), action, clean(target), cleanOrNull(act.reason)])
  }
}

export function auditSteps<Tx>(
  { tables, read, own }: PostgresContext<Tx>,
  writeAudit: WriteAudit<Tx>,
): Pick<AdminSteps, 'audit' | 'auditTrail'> {
  const trail = `SELECT seq::int8 AS seq, ${ms('at')} AS at, actor, action, target, reason FROM ${tables.audit}
    WHERE seq < $1::float8::bigint ORDER BY ${tables.audit}.seq DESC LIMIT $2::int4`
  return {
    audit: (act, action, target) => own((tx) => writeAudit(tx, act, action, target)),
    async auditTrail(page) {
      return (await read(trail, [after(page), page.limit])).map(auditRow)
    },
  }
}
