// A server that dies, freezes or cuts connections off, with every library. It has a server of its own to kill.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../support/clock.ts'
import { errorOf, refusal } from '../support/errors.ts'
import { PostgresServer } from '../support/postgres-server.ts'
import { execute, hasPostgres, query } from '../support/postgres.ts'
import { LIBRARIES } from './libraries.ts'
import type { LibraryOptions, Opened } from './library.ts'

/** One connection, so that no other one hides what has become of it. */
const SINGLE = { max: 1 }

describe.skipIf(!hasPostgres).each(LIBRARIES)('$name', (library) => {
  let server: PostgresServer
  let opened: Opened[] = []
  // The transaction may have failed before the server is back.
  let crash = Promise.resolve()
  const crashServer = (): Promise<void> => {
    crash = server.crash()
    return crash
  }

  const open = async (options?: LibraryOptions): Promise<Opened> => {
    const one = await library.open(server.address(), options)
    opened.push(one)
    return one
  }
  const ids = async (): Promise<unknown[]> =>
    (await query(server.address(), 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])
  const pidOf = async ({ run }: Opened, tx: object): Promise<number> =>
    Number((await run(tx, 'SELECT pg_backend_pid() AS pid'))[0]?.['pid'])
  const terminate = (pid: number): Promise<void> =>
    execute(server.address(), `SELECT pg_terminate_backend(${pid}, 10000)`)
  const isWaiting = async (pid: number, forWhat: string): Promise<boolean> =>
    (await query(server.address(), `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND wait_event = '${forWhat}'`))
      .length > 0
  const insert = ({ run }: Opened, tx: object, id: number): Promise<unknown> =>
    run(tx, `INSERT INTO t (id) VALUES (${id})`)
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
    server = await PostgresServer.start()
  })
  beforeEach(async () => {
    await execute(
      server.address(),
      `DROP TABLE IF EXISTS t;
       CREATE TABLE t (id int PRIMARY KEY);
       CREATE OR REPLACE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
       CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (NEW.id >= 100) EXECUTE FUNCTION wait_at_commit();`,
    )
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

  test('the server dies while it works on a statement', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const failed = driver.transaction(async (tx) => {
      const pid = await pidOf(one, tx)
      const statement = driver.query('SELECT pg_sleep(60)::text AS slept', [], tx)
      statement.catch(() => undefined)
      await until(() => isWaiting(pid, 'PgSleep'))
      await crashServer()
      await statement
    })
    expect(await errorOf(failed)).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
    await worksAgain(one, 1)
  })

  test('the server dies while it commits: whether it has is not known, and the error says so', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const pid = Promise.withResolvers<number>()
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 100)
      pid.resolve(await pidOf(one, tx))
    })
    failed.catch(() => undefined)
    const committing = await pid.promise
    await until(() => isWaiting(committing, 'PgSleep'))
    await crashServer()
    const error = await refusal('STORE_UNAVAILABLE', () => failed)
    expect(error.message).toMatch(/whether the transaction has been committed is not known/)
    expect(error.retryable).toBe(true)
    await worksAgain(one, 1)
  })

  test('a connection that is cut off while it commits is the same', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const pid = Promise.withResolvers<number>()
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 100)
      pid.resolve(await pidOf(one, tx))
    })
    failed.catch(() => undefined)
    const committing = await pid.promise
    await until(() => isWaiting(committing, 'PgSleep'))
    await terminate(committing)
    const error = await refusal('STORE_UNAVAILABLE', () => failed)
    expect(error.message).toMatch(/whether the transaction has been committed is not known/)
    await worksAgain(one, 1)
    expect(await ids()).toEqual([1])
  })

  test('work that has not noticed the loss of its connection is not committed', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      await terminate(await pidOf(one, tx))
      // Something else that takes its time.
      await ids()
    })
    const error = await refusal('STORE_UNAVAILABLE', () => failed)
    const isLossHidden = library.limits?.pool === true
    expect(error.message).toMatch(isLossHidden ? /is not known/ : /nothing was committed/)
    await worksAgain(one, 2)
    expect(await ids()).toEqual([2])
  })

  test('work that swallows the loss of its connection is not committed, and writes nothing on another one', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const done = Promise.withResolvers<void>()
    const failed = driver.transaction(async (tx) => {
      await terminate(await pidOf(one, tx))
      for (let attempt = 0; attempt < 5; attempt++) await errorOf(insert(one, tx, 1))
      await errorOf(driver.query('INSERT INTO t (id) VALUES (2)', [], tx))
      done.resolve()
    })
    expect(driver.classify(await errorOf(failed))).toBe('unavailable')
    await done.promise
    await worksAgain(one, 3)
    expect(await ids()).toEqual([3])
  })

  test('work that goes on at once when its statement loses the connection writes nothing on another one', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const done = Promise.withResolvers<unknown[]>()
    const failed = driver.transaction(async (tx) => {
      const pid = await pidOf(one, tx)
      const statement = errorOf(one.run(tx, 'SELECT pg_sleep(60)'))
      await until(() => isWaiting(pid, 'PgSleep'))
      // Not waited for: the next statement is to come in the very turn in which the first one fails.
      const terminated = terminate(pid)
      const errors = [await statement]
      for (let attempt = 0; attempt < 3; attempt++) errors.push(await errorOf(insert(one, tx, 1)))
      await terminated
      done.resolve(errors)
    })
    expect(driver.classify(await errorOf(failed))).toBe('unavailable')
    expect(await done.promise).toHaveLength(4)
    await worksAgain(one, 2)
    expect(await ids()).toEqual([2])
  })

  test('work goes on after the loss of its connection, and meets an ended transaction', async () => {
    const one = await open(SINGLE)
    const { driver } = one
    const later = Promise.withResolvers<void>()
    const late = Promise.withResolvers<unknown>()
    const failed = driver.transaction(async (tx) => {
      await terminate(await pidOf(one, tx))
      await errorOf(insert(one, tx, 1))
      void later.promise.then(() => errorOf(insert(one, tx, 2))).then(late.resolve)
      throw new Error('of the work')
    })
    await errorOf(failed)
    await worksAgain(one, 3)
    later.resolve()
    const error = await late.promise
    if (library.endedError === undefined) expect(error).toMatchObject({ code: 'TRANSACTION_ENDED' })
    else expect((error as Error).message).toMatch(library.endedError)
    expect(await ids()).toEqual([3])
  })

  test('a session that is idle in a transaction for too long is ended by the server', async () => {
    const one = await open({ max: 1, settings: { idle_in_transaction_session_timeout: 20 } })
    const { driver } = one
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      const pid = await pidOf(one, tx)
      const alive = `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`
      await until(async () => (await query(server.address(), alive)).length === 0)
      await driver.query('INSERT INTO t (id) VALUES (2)', [], tx)
    })
    const error = await errorOf(failed)
    expect(driver.classify(error)).toBe('unavailable')
    await worksAgain(one, 3)
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
    const failed = driver.transaction(async (tx) => {
      await insert(one, tx, 1)
      server.freeze()
      const statement = insert(one, tx, 2)
      server.thaw()
      await statement
    })
    await failed
    expect(await ids()).toEqual([1, 2])
  })
})
