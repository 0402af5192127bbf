// What a handler can and cannot do with the transaction that it is given.
import { describe, expect, test } from 'vitest'
import type { NodeSqliteStatement, NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import { inPlace } from './temporary-database.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const TABLE = 'CREATE TABLE t(a INTEGER PRIMARY KEY, b)'

describe('in its time', () => {
  test('runs statements, by position and by name', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => {
        tx.exec(TABLE)
        expect(tx.isTransaction).toBe(true)
        const insert = tx.prepare('INSERT INTO t(b) VALUES (?)')
        expect(insert.run('x')).toEqual({ changes: 1, lastInsertRowid: 1 })
        expect(tx.prepare('INSERT INTO t(b) VALUES ($b)').run({ b: 'y' })).toEqual({ changes: 1, lastInsertRowid: 2 })
        expect(tx.prepare('SELECT b FROM t WHERE a = ?').get(2)).toEqual({ b: 'y' })
        expect(tx.prepare('SELECT b FROM t WHERE a = ?').get(3)).toBeUndefined()
        expect(tx.prepare('SELECT a FROM t ORDER BY a').all()).toEqual([{ a: 1 }, { a: 2 }])
        expect([...tx.prepare('SELECT a FROM t WHERE a > ?').iterate(1)]).toEqual([{ a: 2 }])
      })
      expect((await sqlite.query('SELECT count(*) AS n FROM t', [])).rows).toEqual([{ n: 2 }])
    }))

  test('reports a mistake in the SQL where it is prepared', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => {
        expect(() => tx.prepare('SELECT 1 FROM nowhere')).toThrow(/no such table/)
      })
    }))

  test.each(['BEGIN', 'COMMIT', 'END', 'ROLLBACK', 'SELECT 1; commit', '/**/ rollback transaction'])(
    'refuses %s',
    (sql) =>
      inPlace(async ({ driver }) => {
        const sqlite = await driver()
        await sqlite.transaction(async (tx) => {
          tx.exec(TABLE)
          for (const run of [() => tx.exec(sql), () => tx.prepare(sql), () => tx.prepare(sql).iterate()]) {
            expect(run).toThrow(code('TRANSACTION_INVALID'))
          }
          await expect(sqlite.script(sql, tx)).rejects.toEqual(code('TRANSACTION_INVALID'))
          await expect(sqlite.query(sql, [], tx)).rejects.toEqual(code('TRANSACTION_INVALID'))
          expect(tx.isTransaction).toBe(true)
        })
      }),
  )

  test('allows savepoints and triggers', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => {
        tx.exec(`${TABLE}; CREATE TRIGGER r AFTER INSERT ON t WHEN new.a < 9 BEGIN INSERT INTO t(a) VALUES (9); END;`)
        tx.exec('SAVEPOINT s')
        tx.prepare('INSERT INTO t(a) VALUES (5)').run()
        tx.prepare('ROLLBACK TO s').run()
        tx.exec('RELEASE s; INSERT INTO t(a) VALUES (6)')
      })
      expect((await sqlite.query('SELECT a FROM t ORDER BY a', [])).rows).toEqual([{ a: 6 }, { a: 9 }])
    }))

  test('is over when SQLite itself has rolled it back, even if the work swallows the error', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      const failed = sqlite.transaction(async (tx) => {
        tx.exec('INSERT INTO t(a) VALUES (1)')
        expect(() => tx.exec('INSERT OR ROLLBACK INTO t(a) VALUES (1)')).toThrow(/UNIQUE/)
        // Without the guard this would be committed at once, outside of any transaction.
        expect(() => tx.exec('INSERT INTO t(a) VALUES (2)')).toThrow(code('TRANSACTION_ENDED'))
        await expect(sqlite.query('INSERT INTO t(a) VALUES (3)', [], tx)).rejects.toEqual(code('TRANSACTION_ENDED'))
      })
      await expect(failed).rejects.toEqual(code('TRANSACTION_ENDED'))
      expect((await sqlite.query('SELECT a FROM t', [])).rows).toEqual([])
    }))
})

describe('after its time', () => {
  /** Everything that a handler may have kept. */
  async function keep(commit: boolean): Promise<void> {
    await inPlace(async ({ driver }) => {
      const sqlite = await driver()
      let kept: { tx: NodeSqliteTransaction; insert: NodeSqliteStatement; rows: Iterator<unknown> } | undefined
      const work = async (tx: NodeSqliteTransaction): Promise<void> => {
        const rows = tx.prepare('SELECT value FROM json_each(?)').iterate('[1,2,3]')[Symbol.iterator]()
        expect(rows.next().value).toEqual({ value: 1 })
        kept = { tx, insert: tx.prepare('INSERT INTO t(b) VALUES (1)'), rows }
        if (!commit) throw new Error('rolled back')
      }
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      await sqlite.transaction(work).catch((error: unknown) => expect(error).toEqual(new Error('rolled back')))

      const refuse = (): void => {
        const { tx, insert } = kept ?? expect.fail('the work has run')
        expect(tx.isTransaction).toBe(false)
        for (const run of [
          () => tx.exec('DELETE FROM t'),
          () => tx.prepare('SELECT 1'),
          () => insert.run(),
          () => insert.get(),
          () => insert.all(),
          () => insert.iterate(),
        ]) {
          expect(run).toThrow(code('TRANSACTION_ENDED'))
        }
      }
      refuse()
      expect(() => kept?.rows.next()).toThrow(code('TRANSACTION_ENDED'))
      await sqlite.transaction(async () => refuse())
      expect((await sqlite.query('SELECT count(*) AS n FROM t', [])).rows).toEqual([{ n: 0 }])
    })
  }

  test('takes nothing more after commit', () => keep(true))
  test('takes nothing more after rollback', () => keep(false))

  test('holds no snapshot with a read that was never finished', () =>
    inPlace(async ({ driver, connect }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => {
        tx.exec(`${TABLE}; INSERT INTO t(a) VALUES (1), (2), (3)`)
        tx.prepare('SELECT a FROM t').iterate()[Symbol.iterator]().next()
      })
      connect().exec('INSERT INTO t(a) VALUES (4)')
      const seen = await sqlite.transaction(async (tx) => tx.prepare('SELECT count(*) AS n FROM t').get(), {
        lockTimeout: 0,
      })
      expect(seen).toEqual({ n: 4 })
    }))
})
