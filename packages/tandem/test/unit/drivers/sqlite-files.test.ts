// A database file that is not there, goes away, comes back, or is another one now; and one that is full.
import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { nodeSqlite, type NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import type { Driver } from '../../../src/spi/driver.ts'
import { inPlace } from './temporary-database.ts'

const TABLE = 'CREATE TABLE t(a)'
const unavailable = (retryable: boolean): unknown => expect.objectContaining({ code: 'STORE_UNAVAILABLE', retryable })

const insert = (driver: Driver<NodeSqliteTransaction>, value: number): Promise<unknown> =>
  driver.transaction(async (tx) => tx.prepare('INSERT INTO t VALUES (?)').run(value))

const values = async (driver: Driver<NodeSqliteTransaction>): Promise<unknown[]> =>
  (await driver.query('SELECT a FROM t ORDER BY a', [])).rows.map((row) => row['a'])

/** Moves a database with everything that belongs to it. */
function move(from: string, to: string): void {
  for (const part of ['', '-wal', '-shm']) renameSync(from + part, to + part)
}

function remove(file: string): void {
  for (const part of ['', '-wal', '-shm']) rmSync(file + part, { force: true })
}

describe('a database file', () => {
  test('in a folder that is missing: unavailable, and open works when it is there', () =>
    inPlace(async ({ folder }) => {
      const file = join(folder, 'later', 'test.db')
      const driver = nodeSqlite(file)
      await expect(driver.open({ service: 'test' })).rejects.toEqual(unavailable(true))
      mkdirSync(dirname(file))
      await driver.open({ service: 'test' })
      await driver.transaction(async (tx) => tx.exec(TABLE))
      await driver.close()
    }))

  test('that is moved away and back: unavailable meanwhile, nothing is lost', () =>
    inPlace(async ({ file, driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      await insert(sqlite, 1)
      expect(await values(sqlite)).toEqual([1])
      move(file, `${file}.away`)
      await expect(insert(sqlite, 2)).rejects.toEqual(unavailable(true))
      await expect(values(sqlite)).rejects.toEqual(unavailable(true))
      move(`${file}.away`, file)
      await insert(sqlite, 3)
      expect(await values(sqlite)).toEqual([1, 3])
    }))

  test('that is replaced by a backup: the backup is used, and is not harmed', () =>
    inPlace(async ({ file, driver, connect }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      await insert(sqlite, 1)
      connect().exec(`VACUUM INTO '${file}.backup'`)
      await insert(sqlite, 2)
      expect(await values(sqlite)).toEqual([1, 2])
      remove(file)
      copyFileSync(`${file}.backup`, file)
      await insert(sqlite, 3)
      expect(await values(sqlite)).toEqual([1, 3])
      await sqlite.close()
      const after = connect()
      expect(after.prepare('SELECT a FROM t ORDER BY a').all()).toEqual([{ a: 1 }, { a: 3 }])
      expect(after.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    }))

  test('that is replaced under a connection of the user: unavailable, for Tandem cannot open that again', () =>
    inPlace(async ({ file, driver, connect }) => {
      const sqlite = await driver(connect())
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      remove(file)
      connect().exec(TABLE)
      await expect(insert(sqlite, 1)).rejects.toEqual(unavailable(false))
    }))

  test('that cannot be read for a while: unavailable, and well again afterwards', () =>
    inPlace(async ({ file, driver, connect }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      await insert(sqlite, 1)
      const user = connect()
      user.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      copyFileSync(file, `${file}.sound`)
      // In place, so that it stays the same file.
      writeFileSync(file, 'x'.repeat(8192))
      await expect(values(sqlite)).rejects.toEqual(unavailable(true))
      await expect(insert(sqlite, 2)).rejects.toEqual(unavailable(true))
      copyFileSync(`${file}.sound`, file)
      await insert(sqlite, 3)
      expect(await values(sqlite)).toEqual([1, 3])
    }))

  test('that is closed by the user: unavailable', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      const sqlite = await driver(db)
      db.close()
      await expect(sqlite.transaction(async () => 1)).rejects.toEqual(unavailable(true))
    }))

  test('that is read-only: unavailable, for Tandem must write', () =>
    inPlace(async ({ file, connect }) => {
      const db = connect()
      db.exec(TABLE)
      const { DatabaseSync } = await import('node:sqlite')
      const readOnly = new DatabaseSync(file, { readOnly: true })
      await expect(nodeSqlite(readOnly).open({ service: 'test' })).rejects.toEqual(
        expect.objectContaining({ code: 'STORE_UNAVAILABLE' }),
      )
      readOnly.close()
    }))

  test('that is full: STORE_FULL from the statement, rolled back, and well again when there is room', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      const sqlite = await driver(db)
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      db.exec('PRAGMA max_page_count = 10')
      const write = (): Promise<unknown> =>
        sqlite.transaction(async (tx) => {
          await sqlite.query('INSERT INTO t VALUES (1)', [], tx)
          await sqlite.query('INSERT INTO t VALUES (?)', [new Uint8Array(100_000)], tx)
        })
      await expect(write()).rejects.toEqual(expect.objectContaining({ code: 'STORE_FULL', retryable: true }))
      expect(await values(sqlite)).toEqual([])
      db.exec('PRAGMA max_page_count = 10000')
      await write()
      expect(await values(sqlite)).toHaveLength(2)
    }))
})
