import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { TandemError } from '../../core/errors.ts'
import type { Row } from '../../spi/driver.ts'
import type { Migration } from '../../spi/store.ts'
import { flag, integer, text } from './rows.ts'

/** A numbered file of SQL. */
export interface MigrationFile {
  /** Its name without the ending. */
  readonly file: string
  readonly version: number
  readonly name: string
  /** The file as it is, under the names that it is written with. */
  readonly content: string
  readonly checksum: string
  /** Whether a package that does not know this version cannot work with it. */
  readonly breaking: boolean
}

/** A row of `schema_version`. */
export interface Applied {
  readonly version: number
  readonly name: string
  readonly checksum: string
  readonly breaking: boolean
}

/** Found from `src/stores/shared` and from `dist/stores/shared`. */
export function sqlFolder(dialect: string): URL {
  return new URL(`../../../sql/${dialect}/`, import.meta.url)
}

/**
 * The migrations in `sql/<dialect>`, in order; read once, unless that fails.
 *
 * @param folder for tests: where they are instead
 */
export function createLoader(
  dialect: string,
  folder: URL = sqlFolder(dialect),
): () => Promise<readonly MigrationFile[]> {
  let files: Promise<readonly MigrationFile[]> | undefined
  return () => {
    files ??= readMigrations(folder).catch((error: unknown) => {
      files = undefined
      throw error
    })
    return files
  }
}

async function readMigrations(folder: URL): Promise<readonly MigrationFile[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).toSorted()
  return Promise.all(
    names.map(async (file) => {
      const content = (await readFile(new URL(file, folder), 'utf8')).replaceAll('\r\n', '\n')
      return {
        file: file.slice(0, -'.sql'.length),
        version: Number(file.slice(0, 4)),
        name: file.slice(5, -'.sql'.length),
        content,
        checksum: createHash('sha256').update(content).digest('hex'),
        breaking: /^-- breaking: yes$/m.test(content),
      }
    }),
  )
}

export function appliedRow(row: Row): Applied {
  return {
    version: integer(row, 'version'),
    name: text(row, 'name'),
    checksum: text(row, 'checksum'),
    breaking: flag(row, 'breaking'),
  }
}

function pendingOf(all: readonly MigrationFile[], applied: readonly Applied[]): readonly MigrationFile[] {
  const versions = new Set(applied.map(({ version }) => version))
  return all.filter(({ version }) => !versions.has(version))
}

/**
 * What is to be applied to come to version `to`; without it, all that is pending.
 *
 * @throws TandemError `CONFIG_INVALID` when there is no such version, or when it would be a way back
 */
export function wantedOf(
  all: readonly MigrationFile[],
  applied: readonly Applied[],
  to: number | undefined,
): readonly MigrationFile[] {
  const pending = pendingOf(all, applied)
  if (to === undefined) return pending
  const { version, latest } = compare(all, applied)
  if (to < version) {
    throw new TandemError(
      'CONFIG_INVALID',
      `Tandem's tables are of version ${version}, and migrations only go forward: there is no way back to ${to}. An older ` +
        'package works with later tables, or says that it cannot; to undo a migration, restore a backup',
    )
  }
  if (!all.some((file) => file.version === to)) {
    throw new TandemError('CONFIG_INVALID', `there is no migration ${to}; this package knows 1 to ${latest}`)
  }
  return pending.filter((file) => file.version <= to)
}

export interface Comparison {
  readonly version: number
  readonly latest: number
  readonly pending: readonly MigrationFile[]
  /** Applied migrations that this package knows. */
  readonly known: readonly MigrationFile[]
  /** Whether there is one that it does not know. */
  readonly tooNew: boolean
  /** In words: those that were applied with another text. */
  readonly edited: readonly string[]
}

export function compare(all: readonly MigrationFile[], applied: readonly Applied[]): Comparison {
  const byVersion = new Map(all.map((file) => [file.version, file]))
  const known = applied.flatMap(({ version }) => byVersion.get(version) ?? [])
  return {
    version: applied.at(-1)?.version ?? 0,
    latest: all.at(-1)?.version ?? 0,
    pending: pendingOf(all, applied),
    known,
    tooNew: known.length < applied.length,
    edited: applied
      .filter(({ version, checksum }) => (byVersion.get(version)?.checksum ?? checksum) !== checksum)
      .map(({ version, name }) => `migration ${version} (${name}) was applied with another text`),
  }
}

/**
 * @param howTo how the store is told to migrate, for example `sqlite(driver, { migrate: true })`
 * @throws TandemError `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW`
 */
export function checkApplied(all: readonly MigrationFile[], applied: readonly Applied[], howTo: string): void {
  const { version, latest, pending } = compare(all, applied)
  const breaking = applied.find((one) => one.version > latest && one.breaking)
  if (breaking !== undefined) {
    throw new TandemError(
      'SCHEMA_TOO_NEW',
      `Tandem's tables are of version ${version}; this package knows versions up to ${latest} and cannot work with ` +
        `version ${breaking.version} (${breaking.name}). Upgrade the package`,
    )
  }
  if (pending.length === 0) return
  throw new TandemError(
    'SCHEMA_OUTDATED',
    `Tandem's tables ${version === 0 ? 'are missing' : `are of version ${version}`}; this package needs version ` +
      `${latest}. Run "tandem migrate", or let the store do it with ${howTo}`,
  )
}

/** The statement that records a migration, so that a script which a person applies by hand is complete. */
export function recordStatement(
  table: string,
  { version, name, checksum, breaking }: MigrationFile,
  now: string,
  yes: string,
  no: string,
): string {
  // Names of files and hexadecimal digits: nothing to escape.
  return `INSERT INTO ${table} (version, name, checksum, breaking, applied_at)
VALUES (${version}, '${name}', '${checksum}', ${breaking ? yes : no}, ${now});\n`
}

export function plain({ version, name }: MigrationFile, sql: string): Migration {
  return { version, name, sql }
}
