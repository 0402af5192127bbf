// `knex` takes instances of knex, and what a handler gets is knex's own transaction.
import type { Knex } from 'knex'
import type { Pool } from 'pg'
import { expectTypeOf, test } from 'vitest'
import { knex } from '../../src/drivers/knex.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'

declare const db: Knex
declare const pool: Pool
declare const broker: Broker

test('the transaction is the one of knex', () => {
  expectTypeOf(knex(db)).toEqualTypeOf<Driver<Knex.Transaction>>()
  knex(db, { connectionTimeout: 5000, prepare: true })

  // @ts-expect-error -- a pool: the instance of knex is meant
  knex(pool)
  // @ts-expect-error -- an option that there is not
  knex(db, { lockTimeout: 5000 })
  // @ts-expect-error -- the instance is no transaction
  void knex(db).query('SELECT 1', [], db)
})

test('a transaction of the user goes into send, and a handler gets the same', () => {
  const tandem = createTandem({ service: 'order', store: postgres(knex(db)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void db.transaction((trx) => tandem.send(trx, placed({ sku: 'a' })))
  void db.transaction().then((trx) => tandem.send(trx, placed({ sku: 'b' })))
  // @ts-expect-error -- the instance is no transaction
  void tandem.send(db, placed({ sku: 'c' }))
  tandem.consume(placed, async ({ sku }, { tx }) => {
    const row = await tx<{ sku: string; onHand: number }>('stock').where({ sku }).first()
    expectTypeOf(row?.onHand).toEqualTypeOf<number | undefined>()
    await tx.transaction((savepoint) => savepoint('stock').where({ sku }).increment('onHand', 1))
  })
})
