// Which test files a run leaves out, since they need a server that this machine does not have. vitest.config.ts asks.
import { findMariadb, MARIADB_MISSING } from './servers/mariadb-binaries.ts'
import { findPgBouncer, PGBOUNCER_MISSING } from './servers/pgbouncer.ts'
import { findPostgres, POSTGRES_MISSING } from './servers/postgres-binaries.ts'

const NEEDS: readonly { readonly files: string; readonly isHere: () => boolean; readonly missing: string }[] = [
  {
    files: 'packages/tandem/test/postgres/**',
    isHere: () => findPostgres() !== undefined,
    missing: POSTGRES_MISSING,
  },
  {
    files: 'packages/tandem/test/mariadb/**',
    isHere: () => findMariadb() !== undefined,
    missing: MARIADB_MISSING,
  },
  {
    files: 'packages/tandem/test/postgres/pgbouncer-*',
    isHere: () => findPgBouncer() !== undefined,
    missing: PGBOUNCER_MISSING,
  },
]

/**
 * Patterns of the files to leave out; says why in one line for each server. None where all tests are to be run: those files fail then, and
 * say the same.
 */
export function filesWithoutServer(): string[] {
  if (process.env['TANDEM_TEST_ALL'] === '1') return []
  const lacking = NEEDS.filter(({ isHere }) => !isHere())
  for (const { missing } of lacking) process.stdout.write(`skipped: ${missing}\n`)
  return lacking.map(({ files }) => files)
}
