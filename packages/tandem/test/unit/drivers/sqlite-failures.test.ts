// What SQLite really reports, through both libraries.
import Database from 'better-sqlite3'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { TandemError } from '../../../src/core/errors.ts'
import { classify, toTandemError } from '../../../src/drivers/sqlite-failures.ts'
import { inPlace } from './temporary-database.ts'

interface Connection {
  exec(sql: string): unknown
  close(): unknown
}

const LIBRARIES: readonly (readonly [string, (file: string, readOnly?: boolean) => Connection])[] = [
  ['node:sqlite', (file, readOnly = false) => new DatabaseSync(file, { readOnly })],
  ['better-sqlite3', (file, readOnly = false) => new Database(file, { readonly: readOnly, timeout: 0 })],
]

describe.each(LIBRARIES)('%s', (_name, connect) => {
  /** The error of the last of these statements, on a first or a second connection. */
  const errorOf = (act: () => unknown): unknown => {
    try {
      act()
    } catch (error) {
      return error
    }
    return expect.fail('nothing was thrown')
  }
  const withTwo = (body: (one: Connection, two: Connection, file: string) => void): Promise<void> =>
    inPlace(async ({ file }) => {
      const [one, two] = [connect(file), connect(file)]
      try {
        one.exec('PRAGMA journal_mode = WAL; CREATE TABLE t(a PRIMARY KEY, b)')
        body(one, two, file)
      } finally {
        one.close()
        two.close()
      }
    })

  test('a lock of another connection is busy', () =>
    withTwo((one, two) => {
      one.exec('BEGIN IMMEDIATE')
      expect(classify(errorOf(() => two.exec('BEGIN IMMEDIATE')))).toBe('busy')
    }))

  test('a snapshot that is out of date is a conflict', () =>
    withTwo((one, two) => {
      two.exec('BEGIN; SELECT * FROM t')
      one.exec('INSERT INTO t VALUES (1, 1)')
      expect(classify(errorOf(() => two.exec('INSERT INTO t VALUES (2, 2)')))).toBe('conflict')
    }))

  test('a database at its limit is full', () =>
    withTwo((one) => {
      one.exec('PRAGMA max_page_count = 10')
      expect(classify(errorOf(() => one.exec('INSERT INTO t VALUES (1, zeroblob(100000))')))).toBe('full')
    }))

  test('a read-only database is unavailable', () =>
    withTwo((_one, _two, file) => {
      const reader = connect(file, true)
      expect(classify(errorOf(() => reader.exec('DELETE FROM t')))).toBe('unavailable')
      reader.close()
    }))

  test('a folder, and a file that is no database, are unavailable', () =>
    inPlace(async ({ folder }) => {
      mkdirSync(join(folder, 'a-folder'))
      writeFileSync(join(folder, 'text.db'), 'not a database, and long enough to be read as one'.repeat(100))
      for (const name of ['a-folder', 'text.db']) {
        expect(classify(errorOf(() => connect(join(folder, name)).exec('SELECT * FROM sqlite_schema')))).toBe(
          'unavailable',
        )
      }
    }))

  test('a closed connection is unavailable', () =>
    withTwo((_one, _two, file) => {
      const closed = connect(file)
      closed.close()
      expect(classify(errorOf(() => closed.exec('SELECT 1')))).toBe('unavailable')
    }))

  test('a constraint and a mistake are the statement’s own fault', () =>
    withTwo((one) => {
      one.exec('INSERT INTO t VALUES (1, 1)')
      expect(classify(errorOf(() => one.exec('INSERT INTO t VALUES (1, 1)')))).toBe('other')
      expect(classify(errorOf(() => one.exec('NOT SQL')))).toBe('other')
    }))
})

describe('as TandemError', () => {
  const sqlite = (name: string): Error => Object.assign(new Error('as SQLite says'), { code: name })

  test.each([
    ['SQLITE_BUSY', 'STORE_BUSY'],
    ['SQLITE_BUSY_RECOVERY', 'STORE_BUSY'],
    ['SQLITE_LOCKED', 'STORE_BUSY'],
    ['SQLITE_LOCKED_SHAREDCACHE', 'STORE_BUSY'],
    ['SQLITE_FULL', 'STORE_FULL'],
    ['SQLITE_CANTOPEN', 'STORE_UNAVAILABLE'],
    ['SQLITE_IOERR_FSYNC', 'STORE_UNAVAILABLE'],
    ['SQLITE_READONLY_DBMOVED', 'STORE_UNAVAILABLE'],
    ['SQLITE_NOTADB', 'STORE_UNAVAILABLE'],
    ['SQLITE_CORRUPT_VTAB', 'STORE_UNAVAILABLE'],
  ])('%s is %s, with the cause and what was being done', (name, expected) => {
    const cause = sqlite(name)
    const error = toTandemError(cause, 'a read')
    expect(error).toMatchObject({ code: expected, retryable: true, cause })
    expect((error as Error).message).toMatch(/^a read failed: Error: as SQLite says/)
    // What has been through it once stays as it is.
    expect(toTandemError(error, 'again')).toBe(error)
    expect(classify(error)).toBe(classify(cause))
  })

  test.each(['SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_BUSY_SNAPSHOT', 'SQLITE_ERROR', 'ENOENT'])(
    '%s stays as it is',
    (name) => {
      const error = sqlite(name)
      expect(toTandemError(error, 'a read')).toBe(error)
    },
  )

  test('other errors of Tandem are nothing that the database says', () => {
    expect(classify(new TandemError('LEASE_LOST', 'gone'))).toBe('other')
  })
})
