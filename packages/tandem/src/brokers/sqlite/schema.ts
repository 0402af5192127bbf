import { readFile } from 'node:fs/promises'
import { TandemError } from '../../core/errors.ts'
import type { Driver } from '../../spi/driver.ts'

/** The migrations, oldest first. The folder is two levels above the package's `src` and `dist`. */
const FOLDER = new URL('../../../sql/sqlite-broker/', import.meta.url)
const FILES = ['0001_initial.sql'] as const

/** Makes the tables, or brings them up to date. Safe when many processes do it at once. */
export async function migrate<Tx>(driver: Driver<Tx>): Promise<void> {
  if ((await appliedVersion(driver)) === FILES.length) return
  const scripts = await Promise.all(FILES.map((file) => readFile(new URL(file, FOLDER), 'utf8')))
  await driver.transaction(async (tx) => {
    const applied = await appliedVersion(driver, tx)
    for (const [index, script] of scripts.entries()) {
      if (index < applied) continue
      await driver.script(script, tx)
      if (index === 0) {
        await driver.script('CREATE TABLE broker_schema (version INTEGER PRIMARY KEY, applied_at INTEGER) STRICT', tx)
      }
      await driver.query(
        `INSERT INTO broker_schema (version, applied_at) VALUES (?, CAST(unixepoch('subsec') * 1000 AS INTEGER))`,
        [index + 1],
        tx,
      )
    }
  })
}

async function appliedVersion<Tx>(driver: Driver<Tx>, tx?: Tx): Promise<number> {
  const { rows } = await driver.query(`SELECT 1 FROM sqlite_schema WHERE name = 'broker_schema'`, [], tx)
  if (rows.length === 0) return 0
  const found = await driver.query('SELECT max(version) AS version FROM broker_schema', [], tx)
  const version = Number(found.rows[0]?.['version'] ?? 0)
  if (version <= FILES.length) return version
  throw new TandemError(
    'SCHEMA_TOO_NEW',
    `the tables of the sqlite broker are of version ${version} and this package knows ${FILES.length}; update it`,
  )
}
