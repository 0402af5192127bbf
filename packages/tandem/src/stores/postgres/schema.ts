import { readFile } from 'node:fs/promises'
import type { Row } from '../../spi/driver.ts'
import type { Migration, SchemaSteps } from '../../spi/store.ts'
import {
  appliedRow,
  checkApplied,
  compare,
  createLoader,
  plain,
  recordStatement,
  sqlFolder,
  type Applied,
  type MigrationFile,
  wantedOf,
} from '../shared/migrations.ts'
import { driftOf, readObjects } from '../shared/schema-drift.ts'
import { FILE_SCHEMA, POSTGRES_CLOCK, type PostgresContext } from './context.ts'
import { createApply, PATIENCE, type Patience } from './schema-apply.ts'
import { catalogStatement, objectRow } from './schema-drift.ts'

export interface PostgresSchema extends SchemaSteps {
  /** @throws TandemError `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW` */
  check(): Promise<void>
}

/**
 * @param options.folder for tests: where the migrations are
 * @param options.patience for tests
 */
export function schemaSteps<Tx>(
  context: PostgresContext<Tx>,
  options: { readonly folder?: URL; readonly patience?: Patience } = {},
): PostgresSchema {
  const { schema, tables, read, run } = context
  const { folder = sqlFolder('postgres'), patience = PATIENCE } = options
  const load = createLoader('postgres', folder)
  const sql = {
    exists: `SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text AND c.relname = 'schema_version'`,
    applied: `SELECT version, name, checksum, breaking FROM ${tables.schema_version} ORDER BY version`,
  }
  const scriptOf = (file: MigrationFile): string => {
    const script = file.content.replaceAll(FILE_SCHEMA, `"${schema}".`)
    return `${script}\n${recordStatement(tables.schema_version, file, POSTGRES_CLOCK, 'true', 'false')}`
  }
  /** What a person is to apply by hand is complete. */
  const migration = (file: MigrationFile): Migration =>
    plain(file, file.version === 1 ? `CREATE SCHEMA IF NOT EXISTS "${schema}";\n\n${scriptOf(file)}` : scriptOf(file))

  /** What is applied, as a transaction or (without one) everybody else sees it. */
  async function appliedIn(tx: Tx | undefined): Promise<readonly Applied[]> {
    const ask = async (statement: string, params: readonly string[]): Promise<readonly Row[]> =>
      tx === undefined ? read(statement, params) : (await run(tx, statement, params)).rows
    if ((await ask(sql.exists, [schema])).length === 0) return []
    return (await ask(sql.applied, [])).map(appliedRow)
  }

  const apply = createApply(context, scriptOf, patience)

  return {
    async status() {
      const { version, latest, pending, known, tooNew, edited } = compare(await load(), await appliedIn(undefined))
      const last = known.at(-1)
      const drift = last === undefined ? [] : await driftFrom(last, tooNew)
      return { version, latest, pending: pending.map(migration), drift: [...edited, ...drift] }
    },

    async migrate({ to } = {}) {
      const all = await load()
      const done: Migration[] = []
      // One transaction each: what one of them locks is free again before the next one begins.
      while (wantedOf(all, await appliedIn(undefined), to).length > 0) {
        const applied = await apply(async (tx) => wantedOf(all, await appliedIn(tx), to)[0])
        if (applied !== undefined) done.push(migration(applied))
      }
      return done
    },

    async check() {
      checkApplied(await load(), await appliedIn(undefined), 'postgres(driver, { migrate: true })')
    },
  }

  async function driftFrom(last: MigrationFile, tooNew: boolean): Promise<readonly string[]> {
    const expected = readObjects(await readFile(new URL(`${last.file}.objects.txt`, folder), 'utf8'))
    const found = (await read(catalogStatement, [schema])).map((row) => objectRow(row, schema))
    return driftOf(expected, found, { others: !tooNew })
  }
}
