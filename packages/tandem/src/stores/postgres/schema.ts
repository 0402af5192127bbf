import { readFile } from 'node:fs/promises'
import type { Row } from '../../spi/driver.ts'
import type { Migration, SchemaSteps } from '../../spi/store.ts'
import {
  appliedRow,
  checkApplied,
  compare,
  createLoader,
  pendingOf,
  plain,
  recordStatement,
  sqlFolder,
  type Applied,
  type MigrationFile,
} from '../shared/migrations.ts'
import { FILE_SCHEMA, lockKey, POSTGRES_CLOCK, type PostgresContext } from './context.ts'
import { catalogStatement, driftOf, objectRow, readObjects } from './schema-drift.ts'

const load = createLoader('postgres')

export interface PostgresSchema extends SchemaSteps {
  /** @throws TandemError `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW` */
  check(): Promise<void>
}

export function schemaSteps<Tx>(context: PostgresContext<Tx>): PostgresSchema {
  const { driver, schema, tables, read, run, own } = context
  const sql = {
    schemaExists: `SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::text`,
    exists: `SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1::text AND c.relname = 'schema_version'`,
    applied: `SELECT version, name, checksum, breaking FROM ${tables.schema_version} ORDER BY version`,
    lock: `SELECT pg_advisory_xact_lock(${lockKey(schema, "'migrations'")})::text AS locked`,
  }
  const createSchema = 'CREATE SCHEMA'
  const scriptOf = (file: MigrationFile): string => {
    const script = file.content.replaceAll(FILE_SCHEMA, `"${schema}".`)
    return `${script}\n${recordStatement(tables.schema_version, file, POSTGRES_CLOCK, 'true', 'false')}`
  }
  /** What a person is to apply by hand is complete. */
  const migration = (file: MigrationFile): Migration =>
    plain(file, file.version === 1 ? `${createSchema} IF NOT EXISTS "${schema}";\n\n${scriptOf(file)}` : scriptOf(file))

  /** What is applied, as a transaction or (without one) everybody else sees it. */
  async function appliedIn(tx: Tx | undefined): Promise<readonly Applied[]> {
    const ask = async (statement: string, params: readonly string[]): Promise<readonly Row[]> =>
      tx === undefined ? read(statement, params) : (await run(tx, statement, params)).rows
    if ((await ask(sql.exists, [schema])).length === 0) return []
    return (await ask(sql.applied, [])).map(appliedRow)
  }

  return {
    async status() {
      const { version, latest, pending, known, tooNew, edited } = compare(await load(), await appliedIn(undefined))
      const last = known.at(-1)
      const drift = last === undefined ? [] : await driftFrom(last, tooNew)
      return { version, latest, pending: pending.map(migration), drift: [...edited, ...drift] }
    },

    async migrate() {
      const all = await load()
      if (pendingOf(all, await appliedIn(undefined)).length === 0) return []
      return own(async (tx) => {
        await run(tx, sql.lock, [])
        // Somebody else may have done it while this one waited for its turn.
        const pending = pendingOf(all, await appliedIn(tx))
        // Asked for first: a role that may use the schema need not be allowed to make one.
        const isThere = pending.length === 0 || (await run(tx, sql.schemaExists, [schema])).rows.length > 0
        if (!isThere) await run(tx, `${createSchema} "${schema}"`, [])
        for (const file of pending) await driver.script(scriptOf(file), tx)
        return pending.map(migration)
      })
    },

    async check() {
      checkApplied(await load(), await appliedIn(undefined), 'postgres(driver, { migrate: true })')
    },
  }

  async function driftFrom(last: MigrationFile, tooNew: boolean): Promise<readonly string[]> {
    const expected = readObjects(await readFile(new URL(`${last.file}.objects.txt`, sqlFolder('postgres')), 'utf8'))
    const found = (await read(catalogStatement, [schema])).map((row) => objectRow(row, schema))
    return driftOf(expected, found, { others: !tooNew })
  }
}
