import type { Act, AdminSteps } from '../../spi/admin-store.ts'
import { after } from '../shared/admin-pages.ts'
import { auditRow } from '../shared/admin-rows.ts'
import type { SqliteContext } from './context.ts'

/** Writes the audit row of an act in the transaction of the act. */
export type WriteAudit<Tx> = (tx: Tx, act: Act, action: string, target: string) => Promise<void>

export function createWriteAudit<Tx>({ tables, now, run }: SqliteContext<Tx>): WriteAudit<Tx> {
  const sql = `INSERT INTO ${tables.audit} (at, actor, action, target, reason) VALUES (${now}, ?, ?, ?, ?)`
  return async (tx, act, action, target) => {
    await run(tx, sql, [act.by, action, target, act.reason ?? null])
  }
}

export function auditSteps<Tx>(
  { driver, tables, read }: SqliteContext<Tx>,
  writeAudit: WriteAudit<Tx>,
): Pick<AdminSteps, 'audit' | 'auditTrail'> {
  const trail = `SELECT seq, at, actor, action, target, reason FROM ${tables.audit}
    WHERE seq < ? ORDER BY seq DESC LIMIT ?`
  return {
    audit: (act, action, target) => driver.transaction((tx) => writeAudit(tx, act, action, target)),
    async auditTrail(page) {
      return (await read(trail, [after(page), page.limit])).map(auditRow)
    },
  }
}
