// `sequelize` takes the instances of Sequelize, and what a handler gets is Sequelize's own transaction.
import type { Pool } from 'pg'
import type { Sequelize, Transaction } from 'sequelize'
import { expectTypeOf, test } from 'vitest'
import { sequelize, type SequelizeTransaction } from '../../src/drivers/sequelize.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'

declare const db: Sequelize
declare const pool: Pool
declare const broker: Broker

test('the transaction is one of Sequelize', () => {
  expectTypeOf(sequelize(db)).toEqualTypeOf<Driver<SequelizeTransaction<Sequelize>>>()
  expectTypeOf<SequelizeTransaction<Sequelize>>().toEqualTypeOf<Transaction>()
  sequelize(db, { connectionTimeout: 5000 })

  // @ts-expect-error -- a pool: Sequelize's own instance is meant
  sequelize(pool)
  // @ts-expect-error -- an option that there is not
  sequelize(db, { lockTimeout: 5000 })
  // @ts-expect-error -- the instance is no transaction
  void sequelize(db).query('SELECT 1', [], db)
})

test('a transaction of the user goes into send, and a handler gets the same', () => {
  const tandem = createTandem({ service: 'order', store: postgres(sequelize(db)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void db.transaction(async (tx) => {
    await tandem.send(tx, placed({ sku: 'a' }))
    await db.transaction({ transaction: tx }, (nested) => tandem.send(nested, placed({ sku: 'b' })))
  })
  tandem.consume(placed, async (_, { tx }) => {
    expectTypeOf(tx).toEqualTypeOf<Transaction>()
    await db.query('SELECT 1', { transaction: tx })
  })
})
