// Handlers whose transactions lose against each other, in a database where transactions are serializable.
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { memory } from '../../src/brokers/memory/index.ts'
import { pg as pgDriver, type PgTransaction } from '../../src/drivers/pg.ts'
import { createTandem, message, type Tandem } from '../../src/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const Counted = message<{ n: number }>('counted')

describe.skipIf(databases === undefined)('two handlers that lose against each other', () => {
  const { control, home } = databases!
  const ends: (() => Promise<unknown>)[] = []
  afterAll(async () => {
    for (const end of ends) await end()
  })

  interface Service {
    readonly tandem: Tandem<PgTransaction<pg.Pool>>
    readonly failed: unknown[]
    readonly attempts: number[]
    handled(count: number): Promise<void>
  }

  async function service(options: string): Promise<Service> {
    const pool = new pg.Pool({ ...home, max: 10, options })
    const store = postgres(pgDriver(pool), { schema: nextSchema(), migrate: true })
    const tandem = createTandem({ service: 'order', store, broker: memory(), log: false })
    ends.push(async () => {
      await tandem.stop()
      await pool.end()
    })
    const failed: unknown[] = []
    const attempts: number[] = []
    let changed = Promise.withResolvers<void>()
    for (const name of ['message.failed', 'loop.failed'] as const) tandem.on(name, (event) => failed.push(event))
    tandem.on('message.handled', ({ attempt }) => {
      attempts.push(attempt)
      changed.resolve()
      changed = Promise.withResolvers()
    })
    const handled = async (count: number): Promise<void> => {
      while (attempts.length < count) await changed.promise
    }
    return { tandem, failed, attempts, handled }
  }

  /** Resolves when it was called twice; later calls do not wait. */
  function meeting(): () => Promise<void> {
    const both = Promise.withResolvers<void>()
    let came = 0
    return async () => {
      came += 1
      if (came === 2) both.resolve()
      await both.promise
    }
  }

  it('are both handled, at the first attempt, when their transactions are serializable', async () => {
    await control.run('CREATE TABLE entries (n int)')
    const { tandem, failed, attempts, handled } = await service('-c default_transaction_isolation=serializable')
    const met = meeting()
    const sums: number[] = []
    tandem.consume(Counted, async ({ n }, { tx }) => {
      const { rows } = await tx.query<{ sum: number }>('SELECT coalesce(sum(n), 0)::int AS sum FROM entries')
      sums.push(rows[0]!.sum)
      // Each has read what the other is about to change.
      await met()
      await tx.query('INSERT INTO entries VALUES ($1)', [n])
    })
    await tandem.start()
    await tandem.transaction((tx) => tandem.send(tx, [Counted({ n: 1 }), Counted({ n: 2 })]))
    await handled(2)
    expect([attempts, failed]).toEqual([[1, 1], []])
    expect(await control.run('SELECT n FROM entries ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }])
    // One was run again, and saw what the other had done.
    expect(sums.length).toBeGreaterThan(2)
    expect(sums.at(-1)).toBeGreaterThan(0)
  })

  it('are both handled, at the first attempt, when they block each other', async () => {
    await control.run('CREATE TABLE accounts AS SELECT n, 0 AS changes FROM generate_series(1, 2) n')
    const { tandem, failed, attempts, handled } = await service('-c deadlock_timeout=10ms')
    const met = meeting()
    tandem.consume(Counted, async ({ n }, { tx }) => {
      const change = (which: number): Promise<unknown> =>
        tx.query('UPDATE accounts SET changes = changes + 1 WHERE n = $1', [which])
      await change(n)
      await met()
      await change(3 - n)
    })
    await tandem.start()
    await tandem.transaction((tx) => tandem.send(tx, [Counted({ n: 1 }), Counted({ n: 2 })]))
    await handled(2)
    expect([attempts, failed]).toEqual([[1, 1], []])
    expect(await control.run('SELECT changes FROM accounts')).toEqual([{ changes: 2 }, { changes: 2 }])
  })
})
