// What is sent in a transaction of Tandem goes out together with the COMMIT where the library pipelines: one round trip less, and still
// all or nothing.
import { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memory } from '../../src/brokers/memory/index.ts'
import { pg } from '../../src/drivers/pg.ts'
import { createTandem, message } from '../../src/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'

const Placed = message<{ readonly id: number }>('orders.placed')

describe.skipIf(!hasPostgres)('a transaction on a pipelining pool', () => {
  let database: TestDatabase
  let pool: Pool
  const open = async () => {
    const tandem = createTandem({
      service: 'order',
      store: postgres(pg(pool), { migrate: true }),
      broker: memory(),
      log: false,
    })
    await tandem.open()
    return tandem
  }
  const count = async (table: string): Promise<unknown> =>
    (await query(database.socket, `SELECT count(*)::int4 AS count FROM ${table}`))[0]?.['count']

  beforeEach(async () => {
    database = await createDatabase()
    await execute(database.socket, 'CREATE TABLE orders (id int PRIMARY KEY)')
    pool = new Pool({ ...database.socket, max: 3, pipeline: true })
  })
  afterEach(async () => {
    await pool.end()
    await database.drop()
  })

  test('does not wait for the answer of what it sends, and commits it', async () => {
    const tandem = await open()
    const holder = await pool.connect()
    await holder.query('BEGIN; LOCK TABLE tandem.outbox IN ACCESS EXCLUSIVE MODE')
    const sent = Promise.withResolvers<void>()
    const ended = tandem.transaction(async (tx) => {
      await tx.query('INSERT INTO orders VALUES (1)')
      await tandem.send(tx, Placed({ id: 1 }))
      sent.resolve()
    })
    // Nobody can write into the outbox yet.
    await sent.promise
    await holder.query('COMMIT')
    holder.release()
    await ended
    expect([await count('orders'), await count('tandem.outbox')]).toEqual([1, 1])
    await tandem.stop()
  })

  test('commits nothing when what it sends cannot be written, and says why', async () => {
    const tandem = await open()
    await execute(database.socket, 'ALTER TABLE tandem.outbox RENAME TO gone')
    const ended = tandem.transaction(async (tx) => {
      await tx.query('INSERT INTO orders VALUES (1)')
      await tandem.send(tx, Placed({ id: 1 }))
    })
    await expect(ended).rejects.toThrow(/tandem\.outbox.* does not exist/)
    const goesOn = tandem.transaction(async (tx) => {
      await tandem.send(tx, Placed({ id: 2 }))
      await tx.query('INSERT INTO orders VALUES (2)')
    })
    await expect(goesOn).rejects.toThrow(/tandem\.outbox.* does not exist/)
    expect(await count('orders')).toBe(0)
    await execute(database.socket, 'ALTER TABLE tandem.gone RENAME TO outbox')
    expect(await count('tandem.outbox')).toBe(0)
    await tandem.stop()
  })

  test('rolls back what it has sent when the work fails', async () => {
    const tandem = await open()
    const ended = tandem.transaction(async (tx) => {
      await tandem.send(tx, Placed({ id: 1 }))
      throw new Error('no')
    })
    await expect(ended).rejects.toThrow('no')
    expect(await count('tandem.outbox')).toBe(0)
    await tandem.stop()
  })

  test('commits all of more messages than one statement holds', async () => {
    const tandem = await open()
    await tandem.transaction((tx) =>
      tandem.send(
        tx,
        Array.from({ length: 9000 }, (_, id) => Placed({ id })),
      ),
    )
    expect(await count('tandem.outbox')).toBe(9000)
    await tandem.stop()
  })
})
