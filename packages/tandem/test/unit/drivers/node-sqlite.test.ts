// What goes beyond the conformance suite: settings, connections and transactions of the user, slow transactions.
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test, vi } from 'vitest'
import { nodeSqlite, type NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import type { Driver } from '../../../src/spi/driver.ts'
import { inPlace } from './temporary-database.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const TABLE = 'CREATE TABLE t(a INTEGER PRIMARY KEY)'

const count = async (driver: Driver<NodeSqliteTransaction>): Promise<unknown> =>
  (await driver.query('SELECT count(*) AS n FROM t', [])).rows[0]?.['n']

/** Many turns of the event loop. */
const someTurns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('what it is made of', () => {
  test.each([undefined, null, 5, {}, new Date()] as unknown as string[])('refuses %s for a database', (source) => {
    expect(() => nodeSqlite(source)).toThrow(code('CONFIG_INVALID'))
  })

  test('refuses what it does not know or cannot use', () => {
    expect(() => nodeSqlite('x.db', { lockTimeOut: 5 } as object)).toThrow(code('OPTION_UNKNOWN'))
    for (const lockTimeout of [-1, Infinity, 2 ** 31, Number.NaN, '5' as unknown as number]) {
      expect(() => nodeSqlite('x.db', { lockTimeout })).toThrow(code('CONFIG_INVALID'))
    }
  })

  test('refuses a lockTimeout that no timer can measure, before anything begins', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      const work = vi.fn<() => Promise<void>>()
      await expect(sqlite.transaction(work, { lockTimeout: Infinity })).rejects.toEqual(code('CONFIG_INVALID'))
      expect(work).not.toHaveBeenCalled()
    }))

  test('asks the function once, with the name of the service', () =>
    inPlace(async ({ file, driver }) => {
      const source = vi.fn<(context: { service: string }) => string>(() => file)
      const sqlite = await driver(source)
      await sqlite.open({ service: 'test' })
      expect(source.mock.calls).toEqual([[{ service: 'test' }]])
    }))

  test('refuses what the function returns if it is no database', async () => {
    const driver = nodeSqlite(() => ({}) as DatabaseSync)
    await expect(driver.open({ service: 'test' })).rejects.toEqual(code('CONFIG_INVALID'))
  })

  test('says that it is not open yet', async () => {
    const driver = nodeSqlite(':memory:')
    await expect(driver.query('SELECT 1', [])).rejects.toEqual(code('LIFECYCLE'))
    await expect(driver.transaction(async () => 1)).rejects.toEqual(code('LIFECYCLE'))
    expect(driver.inspect({})).toBe('foreign')
    await driver.close()
    await expect(driver.open({ service: 'test' })).rejects.toEqual(code('STORE_UNAVAILABLE'))
  })

  test('sets WAL, FULL and no busy timeout, and nothing else', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      db.exec('PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF; PRAGMA cache_size = 77')
      await driver(db)
      const pragma = (name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]
      expect(['journal_mode', 'synchronous', 'busy_timeout', 'foreign_keys', 'cache_size'].map(pragma)).toEqual([
        'wal',
        2,
        0,
        0,
        77,
      ])
    }))

  test('leaves a stronger synchronous as it is', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      db.exec('PRAGMA synchronous = EXTRA')
      await driver(db)
      expect(db.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 3 })
    }))

  test('gives rows as objects with numbers, whatever the defaults of the connection are', () =>
    inPlace(async ({ file, driver }) => {
      const db = new DatabaseSync(file, { readBigInts: true, returnArrays: true })
      const sqlite = await driver(db)
      const rows = await sqlite.transaction(async (tx) => (await sqlite.query('SELECT 1 AS n', [], tx)).rows)
      expect(rows).toEqual([{ n: 1 }])
      db.close()
    }))

  test('closes what it opened, not what it was given', () =>
    inPlace(async ({ driver, connect }) => {
      const given = connect()
      const made = connect()
      await (await driver(given)).close()
      await (await driver(() => made)).close()
      expect([given.isOpen, made.isOpen]).toEqual([true, false])
    }))

  test('refuses a write without a transaction', () =>
    inPlace(async ({ driver }) => {
      for (const sqlite of [await driver(), await driver(':memory:')]) {
        await sqlite.transaction(async (tx) => tx.exec(TABLE))
        for (const sql of [
          'INSERT INTO t VALUES (1)',
          'WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x RETURNING a',
        ]) {
          await expect(sqlite.query(sql, [])).rejects.toEqual(code('TRANSACTION_INVALID'))
        }
        expect(await count(sqlite)).toBe(0)
      }
    }))
})

describe('with connections of the user', () => {
  test('joins a transaction that the user has begun on another connection', () =>
    inPlace(async ({ driver, connect }) => {
      const sqlite = await driver()
      const db = connect()
      db.exec(TABLE)
      expect(sqlite.inspect(db)).toBe('ended')
      db.exec('BEGIN')
      expect(sqlite.inspect(db)).toBe('open')
      await sqlite.query('INSERT INTO t VALUES (1)', [], db)
      await sqlite.script('INSERT INTO t VALUES (2); INSERT INTO t VALUES (3)', db)
      expect(await count(sqlite)).toBe(0)
      db.exec('COMMIT')
      expect(await count(sqlite)).toBe(3)
      expect(sqlite.inspect(db)).toBe('ended')
      await expect(sqlite.query('INSERT INTO t VALUES (4)', [], db)).rejects.toEqual(code('TRANSACTION_ENDED'))
      db.close()
      expect(sqlite.inspect(db)).toBe('ended')
      await expect(sqlite.query('INSERT INTO t VALUES (4)', [], db)).rejects.toEqual(code('TRANSACTION_ENDED'))
      expect(await count(sqlite)).toBe(3)
    }))

  test('waits for the lock that the user’s transaction needs', () =>
    inPlace(async ({ driver, connect }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      const db = connect()
      db.exec('BEGIN')
      const written = Promise.withResolvers<void>()
      const first = sqlite.transaction(async (tx) => {
        tx.exec('INSERT INTO t VALUES (1)')
        written.resolve()
        await someTurns()
      })
      await written.promise
      await sqlite.query('INSERT INTO t VALUES (2)', [], db)
      db.exec('COMMIT')
      await first
      expect(await count(sqlite)).toBe(2)
    }))

  test('takes no connection to another file, or to a database in memory', () =>
    inPlace(async ({ file, driver, connect }) => {
      const [onFile, inMemory] = [await driver(), await driver(':memory:')]
      for (const db of [connect(`${file}.other`), connect(':memory:')]) {
        db.exec('BEGIN')
        for (const sqlite of [onFile, inMemory]) {
          expect(sqlite.inspect(db)).toBe('foreign')
          await expect(sqlite.query('SELECT 1', [], db)).rejects.toEqual(code('TRANSACTION_INVALID'))
        }
      }
    }))

  test('knows the same file by another name', () =>
    inPlace(async ({ file, folder, driver, connect }) => {
      const { symlinkSync } = await import('node:fs')
      const sqlite = await driver()
      symlinkSync(file, `${folder}/link.db`)
      const db = connect(`${folder}/../${folder.split('/').at(-1)}/link.db`)
      db.exec('BEGIN')
      expect(sqlite.inspect(db)).toBe('open')
    }))

  test.each(['a file', 'memory'])('waits for a transaction that the user has open on its connection (%s)', (where) =>
    inPlace(async ({ driver, connect }) => {
      const db = where === 'memory' ? connect(':memory:') : connect()
      const sqlite = await driver(db)
      db.exec(TABLE)
      db.exec('BEGIN; INSERT INTO t VALUES (1)')
      expect(sqlite.inspect(db)).toBe('open')
      const read = count(sqlite)
      const log: string[] = []
      const write = sqlite.transaction(async (tx) => {
        log.push('begun')
        tx.exec('INSERT INTO t VALUES (2)')
      })
      await someTurns()
      log.push('rolled back')
      db.exec('ROLLBACK')
      expect(await read).toBe(0)
      await write
      expect(log).toEqual(['rolled back', 'begun'])
      expect(db.prepare('SELECT a FROM t').all()).toEqual([{ a: 2 }])
    }),
  )

  test('gives up on a transaction that the user leaves open', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      const sqlite = await driver(db)
      db.exec('BEGIN')
      const begun = sqlite.transaction(async () => 1, { lockTimeout: 30 })
      await expect(begun).rejects.toThrow(/a transaction that Tandem did not begin/)
      await expect(begun).rejects.toEqual(code('STORE_BUSY'))
    }))

  test('does not let the user’s connection pass for the transaction that is open on it', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      const sqlite = await driver(db)
      await sqlite.transaction(async (tx) => {
        expect(db.isTransaction).toBe(true)
        expect(sqlite.inspect(db)).toBe('foreign')
        await expect(sqlite.query('SELECT 1', [], db)).rejects.toEqual(code('TRANSACTION_INVALID'))
        expect(sqlite.inspect(tx)).toBe('open')
      })
    }))

  test('waits for a read that the user has not finished on its connection', () =>
    inPlace(async ({ driver, connect }) => {
      const db = connect()
      const sqlite = await driver(db)
      db.exec(`${TABLE}; INSERT INTO t VALUES (1), (2)`)
      const rows = db.prepare('SELECT a FROM t').iterate()
      rows.next()
      connect().exec('INSERT INTO t VALUES (3)')
      const write = sqlite.transaction(async (tx) => tx.exec('INSERT INTO t VALUES (4)'))
      await someTurns()
      rows.return?.()
      await write
      expect(await count(sqlite)).toBe(4)
    }))
})

describe('one writer', () => {
  test('rolls back when the commit fails, and goes on', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => {
        tx.exec(`${TABLE}; CREATE TABLE child(a REFERENCES t DEFERRABLE INITIALLY DEFERRED)`)
      })
      let kept: NodeSqliteTransaction | undefined
      const failed = sqlite.transaction(async (tx) => {
        kept = tx
        tx.exec('INSERT INTO child VALUES (1)')
      })
      await expect(failed).rejects.toThrow(/FOREIGN KEY constraint failed/)
      expect(sqlite.inspect(kept)).toBe('ended')
      await sqlite.transaction(async (tx) => tx.exec('INSERT INTO t VALUES (5)'), { lockTimeout: 0 })
      expect(await count(sqlite)).toBe(1)
      expect((await sqlite.query('SELECT a FROM child', [])).rows).toEqual([])
    }))

  test('refuses a read in memory that would wait for the transaction it is made in', () =>
    inPlace(async ({ driver }) => {
      const [onFile, inMemory] = [await driver(), await driver(':memory:')]
      await onFile.transaction(async () => {
        expect((await onFile.query('SELECT 1 AS n', [])).rows).toEqual([{ n: 1 }])
        expect(await inMemory.transaction(async () => 'another driver')).toBe('another driver')
      })
      await inMemory.transaction(async () => {
        await expect(inMemory.query('SELECT 1', [])).rejects.toEqual(code('TRANSACTION_INVALID'))
      })
    }))

  test('refuses close inside a transaction, which would wait for itself', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async () => {
        await expect(sqlite.close()).rejects.toEqual(code('LIFECYCLE'))
      })
      await sqlite.close()
    }))

  test('counts the wait for this process and the wait for others against one lockTimeout', () =>
    inPlace(async ({ driver, connect }) => {
      const sqlite = await driver()
      const other = connect()
      const hold = Promise.withResolvers<void>()
      const first = sqlite.transaction(() => hold.promise)
      const asked = performance.now()
      const second = sqlite.transaction(async () => 1, { lockTimeout: 600 })
      const refused = expect(second).rejects.toEqual(code('STORE_BUSY'))
      setTimeout(() => {
        hold.resolve()
        void first.then(() => other.exec('BEGIN IMMEDIATE'))
      }, 400)
      await refused
      // Each wait with a time-out of its own would make it 1,000.
      expect(performance.now() - asked).toBeLessThan(900)
    }))

  test('lets the event loop turn while transactions follow each other', () =>
    inPlace(async ({ driver }) => {
      const sqlite = await driver()
      await sqlite.transaction(async (tx) => tx.exec(TABLE))
      let turns = 0
      const timer = setInterval(() => turns++, 1)
      const until = performance.now() + 200
      while (performance.now() < until) {
        await sqlite.transaction(async (tx) => tx.prepare('INSERT INTO t DEFAULT VALUES').run())
        await sqlite.query('SELECT 1', [])
      }
      clearInterval(timer)
      expect(turns).toBeGreaterThan(5)
    }))
})

describe('a slow transaction', () => {
  const warnings = async (work: () => Promise<void>, others: number, limit: number): Promise<string[]> => {
    const told: string[] = []
    await inPlace(async ({ driver }) => {
      const sqlite = await driver(undefined, { slowTransaction: limit, onWarning: (text) => told.push(text) })
      const all = [sqlite.transaction(work)]
      for (let i = 0; i < others; i++) all.push(sqlite.transaction(async () => undefined))
      await Promise.all(all)
    })
    return told
  }
  const longerThan = (ms: number) => (): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

  test('is told once when others wait for it', async () => {
    expect(await warnings(longerThan(80), 3, 20)).toEqual([
      expect.stringMatching(/^a transaction has been open for \d+ ms while others wait for it\. SQLite has one writer/),
    ])
  })

  test('is told of a second one as well', async () => {
    const told: string[] = []
    await inPlace(async ({ driver }) => {
      const sqlite = await driver(undefined, { slowTransaction: 20, onWarning: (text) => told.push(text) })
      const slow = longerThan(60)
      await Promise.all([sqlite.transaction(slow), sqlite.transaction(slow), sqlite.transaction(async () => undefined)])
    })
    expect(told).toHaveLength(2)
  })

  test('is not told when nobody waits, or when it is short', async () => {
    expect(await warnings(longerThan(60), 0, 20)).toEqual([])
    expect(await warnings(longerThan(1), 3, 5000)).toEqual([])
  })

  test('is not told when whoever waited has given up', async () => {
    const told: string[] = []
    await inPlace(async ({ driver }) => {
      const sqlite = await driver(undefined, { slowTransaction: 40, onWarning: (text) => told.push(text) })
      const slow = sqlite.transaction(longerThan(100))
      await expect(sqlite.transaction(async () => 1, { lockTimeout: 10 })).rejects.toEqual(code('STORE_BUSY'))
      await slow
    })
    expect(told).toEqual([])
  })

  test('is told as a TandemWarning of the process by default', () =>
    inPlace(async ({ driver }) => {
      const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
      const sqlite = await driver(undefined, { slowTransaction: 10 })
      await Promise.all([sqlite.transaction(longerThan(40)), sqlite.transaction(async () => undefined)])
      expect(emit.mock.calls).toEqual([[expect.stringContaining('a transaction has been open'), 'TandemWarning']])
      emit.mockRestore()
    }))
})
