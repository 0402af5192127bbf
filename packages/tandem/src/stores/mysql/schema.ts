import { readFile } from 'node:fs/promises'
import { TandemError } from '../../core/errors.ts'
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
  wantedOf,
  type Applied,
  type MigrationFile,
} from '../shared/migrations.ts'
import { integer } from '../shared/rows.ts'
import { driftOf, readObjects } from '../shared/schema-drift.ts'
import { FILE_PREFIX, MYSQL_CLOCK, type MysqlContext } from './context.ts'
import { catalogParams, catalogStatement, objectRow } from './schema-drift.ts'

const load = createLoader('mysql')

/** How the numbered SQL files name the collation that compares bytes. */
const FILE_COLLATION = 'utf8mb4_nopad_bin'

/** How often, and for how many seconds each time, it is waited for another process that migrates. */
const WAITS = 60
const WAIT_SECONDS = 5

export interface MysqlSchema extends SchemaSteps {
  /** @throws TandemError `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW` */
  check(): Promise<void>
}

export function schemaSteps<Tx>(context: MysqlContext<Tx>): MysqlSchema {
  const { driver, prefix, tables, server, read, run } = context
  const table = tables.schema_version.slice(1, -1)
  // A name that is the server's own, for this database and prefix; at most 64 characters.
  const name = `concat('tandem ', left(sha2(concat(database(), ' ', ?), 256), 40))`
  const sql = {
    exists: `SELECT 1 FROM information_schema.tables WHERE table_schema = database() AND table_name = ?`,
    applied: `SELECT version, name, checksum, breaking FROM ${tables.schema_version} ORDER BY version`,
    lock: `SELECT get_lock(${name}, ${WAIT_SECONDS}) AS locked`,
    unlock: `SELECT release_lock(${name}) AS unlocked`,
  }
  // Commits, as a side effect, the row that says that the migration was applied: before the lock is given back, or who comes next would not
  // see it.
  const commit = `ANALYZE TABLE ${tables.schema_version}`
  /** The whole migration, with the row that says that it was applied. */
  const migration = (file: MigrationFile): Migration => {
    const { collation } = server().flavour
    const script = file.content.replaceAll(FILE_PREFIX, prefix).replaceAll(FILE_COLLATION, collation)
    return plain(file, `${script}\n${recordStatement(tables.schema_version, file, MYSQL_CLOCK, '1', '0')}`)
  }

  /** What is applied, as a transaction or (without one) everybody else sees it. */
  async function appliedIn(tx: Tx | undefined): Promise<readonly Applied[]> {
    const ask = async (statement: string, params: readonly string[]): Promise<readonly Row[]> =>
      tx === undefined ? read(statement, params) : (await run(tx, statement, params)).rows
    if ((await ask(sql.exists, [table])).length === 0) return []
    return (await ask(sql.applied, [])).map(appliedRow)
  }

  async function lock(tx: Tx): Promise<void> {
    for (let left = WAITS; left > 0; left--) {
      if (integer((await run(tx, sql.lock, [prefix])).rows[0] ?? {}, 'locked') === 1) return
    }
    throw new TandemError('STORE_BUSY', `another process has been making Tandem's tables for ${WAITS * WAIT_SECONDS} s`)
  }

  return {
    async status() {
      const { version, latest, pending, known, tooNew, edited } = compare(await load(), await appliedIn(undefined))
      const last = known.at(-1)
      const drift = last === undefined ? [] : await driftFrom(last, tooNew)
      return { version, latest, pending: pending.map(migration), drift: [...edited, ...drift] }
    },

    async migrate({ to } = {}) {
      const all = await load()
      if (wantedOf(all, await appliedIn(undefined), to).length === 0) return []
      // The server commits each statement that defines a table, and the transaction with it. The lock is the connection's, and outlives
      // that; it is gone with the connection if this process dies.
      return driver.transaction(
        async (tx) => {
          await lock(tx)
          try {
            // Somebody else may have done it while this one waited for its turn.
            const pending = wantedOf(all, await appliedIn(tx), to).map(migration)
            for (const { sql: script } of pending) await driver.script(`${script}\n${commit}`, tx)
            return pending
          } finally {
            await run(tx, sql.unlock, [prefix])
          }
        },
        { isolation: 'read committed' },
      )
    },

    async check() {
      checkApplied(await load(), await appliedIn(undefined), 'mysql(driver, { migrate: true })')
    },
  }

  async function driftFrom(last: MigrationFile, tooNew: boolean): Promise<readonly string[]> {
    const expected = readObjects(await readFile(new URL(`${last.file}.objects.txt`, sqlFolder('mysql')), 'utf8'))
    const { collation } = server().flavour
    const found = (await read(catalogStatement, catalogParams(prefix))).map((row) => objectRow(row, prefix, collation))
    return driftOf(expected, found, { others: !tooNew })
  }
}
