import type { Act, AdminSteps } from '../../spi/admin-store.ts'
import { after } from '../shared/admin-pages.ts'
import { auditRow } from '../shared/admin-rows.ts'
import { clean, cleanOrNull, ms, WHOLE, type MysqlContext } from './context.ts'

/** Writes the audit row of an act in the transaction of the act. */
export type WriteAudit<Tx> = (tx: Tx, act: Act, action: string, target: string) => Promise<void>

export function createWriteAudit<Tx>({ tables, now, run }: MysqlContext<Tx>): WriteAudit<Tx> {
  const sql = `INSERT INTO ${tables.audit} (at, actor, action, target, reason) VALUES (${now}, ?, ?, ?, ?)`
  return async (tx, act, action, target) => {
    await run(tx, sql, [clean(act.by), action, clean(target), cleanOrNull(act.reason)])
  }
}

export function auditSteps<Tx>(
  { tables, read, own }: MysqlContext<Tx>,
  writeAudit: WriteAudit<Tx>,
): Pick<AdminSteps, 'audit' | 'auditTrail'> {
  const trail = (limit: number): string =>
    `SELECT a.seq, ${ms('a.at')} AS at, a.actor, a.action, a.target, a.reason FROM ${tables.audit} a
      WHERE a.seq < ${WHOLE} ORDER BY a.seq DESC LIMIT ${limit}`
  return {
    audit: (act, action, target) => own((tx) => writeAudit(tx, act, action, target)),
    async auditTrail(page) {
      return (await read(trail(page.limit), [after(page)])).map(auditRow)
    },
  }
}
