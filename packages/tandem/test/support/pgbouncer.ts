import { findPgBouncer, PGBOUNCER_MISSING } from '../../../../scripts/servers/pgbouncer.ts'

export { PgBouncer } from '../../../../scripts/servers/pgbouncer.ts'

/** Whether there is one; says in one line that there is none. Under `TANDEM_TEST_ALL=1` that is an error. */
export function hasPgBouncer(): boolean {
  if (findPgBouncer() !== undefined) return true
  if (process.env['TANDEM_TEST_ALL'] === '1') throw new Error(PGBOUNCER_MISSING)
  process.stdout.write(`skipped: ${PGBOUNCER_MISSING}\n`)
  return false
}
