import type { Row } from '../../spi/driver.ts'
import type { Migration, SchemaSteps } from '../../spi/store.ts'
import {
  appliedRow,
  checkApplied,
  compare,
  createLoader,
  plain,
  recordStatement,
  wantedOf,
  type Applied,
  type MigrationFile,
} from '../shared/migrations.ts'
import { optionalText, text } from '../shared/rows.ts'
import { FILE_PREFIX, SQLITE_CLOCK, type SqliteContext } from './context.ts'
import { driftOf, type SchemaObject } from './schema-drift.ts'

const load = createLoader('sqlite')

export interface SqliteSchema extends SchemaSteps {
  /** @throws TandemError `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW` */
  check(): Promise<void>
}

export function schemaSteps<Tx>(context: SqliteContext<Tx>): SqliteSchema {
  const { driver, prefix, tables, read, run } = context
  const sql = {
    exists: `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?`,
    applied: `SELECT version, name, checksum, breaking FROM ${tables.schema_version} ORDER BY version`,
    objects: `SELECT type, name, tbl_name, sql FROM sqlite_master WHERE substr(tbl_name, 1, ?) = ? AND sql IS NOT NULL`,
  }
  const prefixed = ({ content }: MigrationFile): string => content.replaceAll(FILE_PREFIX, prefix)
  /** The whole migration, with the row that says that it was applied. */
  const migration = (file: MigrationFile): Migration =>
    plain(file, `${prefixed(file)}\n${recordStatement(tables.schema_version, file, SQLITE_CLOCK, '1', '0')}`)

  /** What is applied, as a transaction or (without one) everybody else sees it. */
  async function appliedIn(tx: Tx | undefined): Promise<readonly Applied[]> {
    const ask = async (statement: string, params: readonly string[]): Promise<readonly Row[]> =>
      tx === undefined ? read(statement, params) : (await run(tx, statement, params)).rows
    if ((await ask(sql.exists, [tables.schema_version])).length === 0) return []
    return (await ask(sql.applied, [])).map(appliedRow)
  }

  return {
    async status() {
      const { version, latest, pending, known, tooNew, edited } = compare(await load(), await appliedIn(undefined))
      const objects = (await read(sql.objects, [prefix.length, prefix])).map(schemaObject)
      const drift = [...edited, ...driftOf(known.map(prefixed), objects, { others: !tooNew })]
      return { version, latest, pending: pending.map(migration), drift }
    },

    async migrate({ to } = {}) {
      const all = await load()
      if (wantedOf(all, await appliedIn(undefined), to).length === 0) return []
      return driver.transaction(async (tx) => {
        // Somebody else may have done it while this one waited for its turn.
        const pending = wantedOf(all, await appliedIn(tx), to).map(migration)
        for (const { sql: script } of pending) await driver.script(script, tx)
        return pending
      })
    },

    async check() {
      checkApplied(await load(), await appliedIn(undefined), 'sqlite(driver, { migrate: true })')
    },
  }
}

function schemaObject(row: Row): SchemaObject {
  return {
    type: text(row, 'type'),
    name: text(row, 'name'),
    table: text(row, 'tbl_name'),
    sql: optionalText(row, 'sql') ?? '',
  }
}
