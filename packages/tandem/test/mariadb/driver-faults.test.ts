// A server that dies, freezes or cuts connections off, with every library. It has a server of its own to kill.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import mysql from 'mysql2/promise'
import { until } from '../support/clock.ts'
import { errorOf, refusal } from '../support/errors.ts'
import { MariadbServer } from '../support/mariadb-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { executeMariadb, hasMariadb, queryMariadb } from '../support/mariadb.ts'
import { LIBRARIES, type LibraryOptions, type Opened } from './libraries.ts'

/** One connection, so that no other one hides what has become of it. */
const SINGLE = { max: 1 }
const NOT_KNOWN = /whether the transaction has been committed is not known/

describe.skipIf(!hasMariadb).each(LIBRARIES)('$name', (library) => {
  let server: MariadbServer
  let opened: Opened[] = []
  // The transaction may have failed before the server is back.
  let crash = Promise.resolve()
  const crashServer = (): Promise<void> => {
    crash = server.crash()
    return crash
  }

  const open = async (options?: LibraryOptions, user = 'root'): Promise<Opened> => {
    const one = await library.open({ ...server.address('faults'), user }, options)
    opened.push(one)
    return one
  }
  const ask = (sql: string): Promise<readonly Record<string, unknown>[]> => queryMariadb(server.address('faults'), sql)
  const ids = async (): Promise<unknown[]> => (await ask('SELECT id FROM t ORDER BY id')).map((row) => row['id'])
  const idOf = async ({ run }: Opened, tx: object): Promise<number> =>
    Number((await run(tx, 'SELECT connection_id() AS id'))[0]?.['id'])
  const kill = (id: number): Promise<void> => executeMariadb(server.address(), `KILL ${id}`)
  const isGone = async (id: number): Promise<boolean> =>
    (await ask(`SELECT 1 FROM information_schema.processlist WHERE id = ${id}`)).length === 0
  const isRunning = async (id: number, sql: string): Promise<boolean> =>
    (await ask(`SELECT 1 FROM information_schema.processlist WHERE id = ${id} AND info LIKE '${sql}'`)).length > 0
  const insert = ({ run }: Opened, tx: object, id: number): Promise<unknown> =>
    run(tx, `INSERT INTO t (id) VALUES (${id})`)
  /** Keeps everybody from committing, until `end`. */
  const holdCommits = async (): Promise<mysql.Connection> => {
    const connection = await mysql.createConnection(server.address())
    connection.on('error', () => undefined)
    await connection.query('FLUSH TABLES WITH READ LOCK')
    return connection
  }
  /** The pool has recovered: it may have met dead connections on the way, each of which fails once. */
  const worksAgain = async (one: Opened, id: number): Promise<void> => {
    await crash
    for (;;) {
      try {
        await one.driver.transaction((tx) => insert(one, tx, id))
        return
      } catch (error) {
        expect(one.driver.classify(error), String(error)).toBe('unavailable')
      }
    }
  }

  beforeAll(async () => {
    server = await MariadbServer.start({ settings: { innodb_rollback_on_timeout: 'ON' } })
    await executeMariadb(
      server.address(),
      `CREATE DATABASE faults; CREATE USER service@'127.0.0.1'; GRANT ALL PRIVILEGES ON faults.* TO service@'127.0.0.1'`,
    )
  })
  beforeEach(async () => {
    await executeMariadb(server.address('faults'), 'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, n int)')
  })
  afterEach(async () => {
    await crash
    for (const one of opened) await one.end()
    opened = []
  })
  afterAll(() => server.dispose())

  test('the server dies while a transaction is open, which is then rolled back', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      await crashServer()
      await insert(one, tx, 2)
    })
    expect(driver.classify(await errorOf(failed))).toBe('unavailable')
    await crash
    expect(await ids()).toEqual([])
    await worksAgain(one, 3)
    expect(await ids()).toEqual([3])
  })

  test('the server dies while it works on a statement, and others wait behind it', async () => {
    const one = await open(SINGLE)
    const { driver, run } = one
    const rest: PromiseSettledResult<unknown>[] = []
    const failed = driver.transaction(async (tx) => {
      const id = await idOf(one, tx)
      const statement = driver.query('SELECT sleep(60) AS slept', [], tx)
      const behind = Promise.allSettled([statement, run(tx, 'SELECT 1'), driver.query('SELECT 1 AS one', [], tx)])
      await until(() => isRunning(id, 'SELECT sleep%'))
      await crashServer()
      rest.push(...(await behind))
      await statement
    })
    expect(await errorOf(failed)).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    expect(rest.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    for (const each of rest) expect(driver.classify((each as PromiseRejectedResult).reason)).toBe('unavailable')
    await worksAgain(one, 1)
  })

  test.each(['the server dies', 'the connection is cut off'])(
    'when %s while it commits, the outcome is not known, and the error says so',
    async (how) => {
      const one = await open(SINGLE)
      const { driver } = one
      const id = Promise.withResolvers<number>()
      const mayCommit = Promise.withResolvers<void>()
      const failed = driver.transaction(async (tx) => {
        await insert(one, tx, 1)
        id.resolve(await idOf(one, tx))
        await mayCommit.promise
      })
      failed.catch(() => undefined)
      const committing = await id.promise
      const held = await holdCommits()
      mayCommit.resolve()
      await until(() => isRunning(committing, 'COMMIT'))
      if (how === 'the server dies') await crashServer()
      else await kill(committing)
      const error = await refusal('STORE_UNAVAILABLE', () => failed)
      expect(error.message).toMatch(NOT_KNOWN)
      expect(error.retryable).toBe(true)
      held.destroy()
      await worksAgain(one, 2)
      expect(await ids()).toContain(2)
    },
  )

  test.each([
    { lose: 'request', found: [] },
    { lose: 'answer', found: [1] },
  ] as const)(
    'when the $lose of COMMIT is lost on the way, the outcome is not known either',
    async ({ lose, found }) => {
      const proxy = await TcpProxy.start(server.address())
      try {
        const one = await library.open({ ...server.address('faults'), port: proxy.port }, SINGLE)
        opened.push(one)
        const cut = proxy.cutAt({ at: 'COMMIT', lose })
        const failed = one.driver.transaction((tx) => insert(one, tx, 1))
        const error = await refusal('STORE_UNAVAILABLE', () => failed)
        expect(error.message).toMatch(NOT_KNOWN)
        await cut
        // The server rolls back when it has noticed.
        await until(async () => (await ask('SELECT 1 FROM information_schema.innodb_trx')).length === 0)
        expect(await ids()).toEqual(found)
        await worksAgain(one, 2)
      } finally {
        await proxy.close()
      }
    },
  )

  test('work that has not noticed the loss of its connection is not committed', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      const id = await idOf(one, tx)
      await kill(id)
      // Something else that takes its time.
      await until(() => isGone(id))
    })
    const error = await refusal('STORE_UNAVAILABLE', () => failed)
    expect(error.message).toMatch(/nothing was committed/)
    await worksAgain(one, 2)
    expect(await ids()).toEqual([2])
  })

  test('work that swallows the loss of its connection is not committed, and writes nothing on another one', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const done = Promise.withResolvers<void>()
    const failed = driver.transaction(async (tx) => {
      await kill(await idOf(one, tx))
      for (let attempt = 0; attempt < 5; attempt++) await errorOf(insert(one, tx, 1))
      await errorOf(driver.query('INSERT INTO t (id) VALUES (2)', [], tx))
      done.resolve()
    })
    expect(driver.classify(await errorOf(failed))).toBe('unavailable')
    await done.promise
    await worksAgain(one, 3)
    expect(await ids()).toEqual([3])
  })

  test('work goes on after the loss of its connection, and meets an ended transaction', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const later = Promise.withResolvers<void>()
    const late = Promise.withResolvers<unknown>()
    const failed = driver.transaction(async (tx) => {
      await kill(await idOf(one, tx))
      await errorOf(insert(one, tx, 1))
      void later.promise.then(() => errorOf(insert(one, tx, 2))).then(late.resolve)
      throw new Error('of the work')
    })
    await errorOf(failed)
    await worksAgain(one, 3)
    later.resolve()
    expect(await late.promise).toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await ids()).toEqual([3])
  })

  test('a session that is idle for too long is ended by the server', async () => {
    const one = await open({ max: 1, settings: { wait_timeout: 1 } })
    const { driver } = one
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      const id = await idOf(one, tx)
      await until(() => isGone(id))
      await driver.query('INSERT INTO t (id) VALUES (2)', [], tx)
    })
    expect(driver.classify(await errorOf(failed))).toBe('unavailable')
    await worksAgain(one, 3)
    expect(await ids()).toEqual([3])
  })

  test('a server that rolls back everything when a lock is not given in time ends the transaction', async () => {
    const one = await open({ settings: { innodb_lock_wait_timeout: 1 } })
    const { driver, run } = one
    await executeMariadb(server.address('faults'), 'INSERT INTO t (id) VALUES (1)')
    await driver.transaction(async (holder) => {
      await run(holder, 'UPDATE t SET n = 1 WHERE id = 1')
      const rest: PromiseSettledResult<unknown>[] = []
      const swallowed = driver.transaction(async (tx) => {
        await insert(one, tx, 2)
        const update = run(tx, 'UPDATE t SET n = 2 WHERE id = 1')
        // Waits behind it, and would be a transaction of its own.
        rest.push(...(await Promise.allSettled([update, insert(one, tx, 3)])))
        await refusal('TRANSACTION_ENDED', () => insert(one, tx, 4))
      })
      const error = await refusal('TRANSACTION_ENDED', () => swallowed)
      expect(error.message).toMatch(/rolled back by the database: Lock wait timeout/)
      expect(rest).toMatchObject([{ reason: { errno: 1205 } }, { reason: { code: 'TRANSACTION_ENDED' } }])
    })
    const ofUser = one.begin('', async (tx) => {
      await driver.transaction(async (holder) => {
        await run(holder, 'UPDATE t SET n = 1 WHERE id = 1')
        await errorOf(run(tx, 'UPDATE t SET n = 2 WHERE id = 1'))
      })
      await driver.query('INSERT INTO t (id) VALUES (5)', [], tx)
    })
    expect(await errorOf(ofUser)).toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await ids()).toEqual([1])
  })

  test('a server that takes no writes is unavailable, in a statement and at the commit, and nothing is committed', async () => {
    const one = await open({}, 'service')
    const { driver } = one
    const readOnly = (value: 'ON' | 'OFF'): Promise<void> =>
      executeMariadb(server.address(), `SET GLOBAL read_only = ${value}`)
    const write = (id: number): Promise<unknown> =>
      driver.transaction((tx) => driver.query('INSERT INTO t (id) VALUES (?)', [id], tx))
    await readOnly('ON')
    try {
      await refusal('STORE_UNAVAILABLE', () => write(1))
    } finally {
      await readOnly('OFF')
    }
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 2)
      await readOnly('ON')
    })
    try {
      const error = await refusal('STORE_UNAVAILABLE', () => failed)
      expect(error.message).toMatch(/nothing was committed/)
    } finally {
      await readOnly('OFF')
    }
    await write(3)
    expect(await ids()).toEqual([3])
  })

  test('nobody answers while the server is down, and everything goes on when it is back', async () => {
    const one = await open()
    const { driver } = one
    await server.stop()
    try {
      const down = async (act: () => Promise<unknown>): Promise<void> => {
        const error = await errorOf(act())
        expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
      }
      for (let attempt = 0; attempt < 3; attempt++) {
        await down(() => driver.transaction((tx) => insert(one, tx, 1)))
        await down(() => driver.query('SELECT 1 AS one', []))
      }
    } finally {
      await server.start()
    }
    await worksAgain(one, 2)
    expect(await ids()).toEqual([2])
  })

  test('a frozen server is waited for', async () => {
    const one = await open()
    const { driver } = one
    await driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      server.freeze()
      const statement = insert(one, tx, 2)
      server.thaw()
      await statement
    })
    expect(await ids()).toEqual([1, 2])
  })
})
