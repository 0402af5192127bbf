// `kysely` takes instances of Kysely, and what a handler gets is Kysely's own transaction with the user's tables.
import type { ControlledTransaction, Kysely, Transaction } from 'kysely'
import type { Pool } from 'pg'
import { expectTypeOf, test } from 'vitest'
import { kysely } from '../../src/drivers/kysely.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'

interface Tables {
  stock: { sku: string; onHand: number }
}
declare const db: Kysely<Tables>
declare const controlled: ControlledTransaction<Tables>
declare const pool: Pool
declare const broker: Broker

test('the transaction is the one of the instance, with its tables', () => {
  expectTypeOf(kysely(db)).toEqualTypeOf<Driver<Transaction<Tables>>>()
  kysely(db, { connectionTimeout: 5000 })

  // @ts-expect-error -- a pool: the instance of Kysely is meant
  kysely(pool)
  // @ts-expect-error -- an option that there is not
  kysely(db, { lockTimeout: 5000 })
  // @ts-expect-error -- the instance is no transaction
  void kysely(db).query('SELECT 1', [], db)
})

test('a transaction of the user goes into send, and a handler gets the same', () => {
  const tandem = createTandem({ service: 'order', store: postgres(kysely(db)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void db.transaction().execute((trx) => tandem.send(trx, placed({ sku: 'a' })))
  void tandem.send(controlled, placed({ sku: 'b' }))
  // @ts-expect-error -- the instance is no transaction
  void tandem.send(db, placed({ sku: 'c' }))
  tandem.consume(placed, async ({ sku }, { tx }) => {
    const row = await tx.selectFrom('stock').select('onHand').where('sku', '=', sku).executeTakeFirst()
    expectTypeOf(row?.onHand).toEqualTypeOf<number | undefined>()
  })
})
