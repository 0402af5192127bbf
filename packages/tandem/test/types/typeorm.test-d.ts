// `typeorm` takes the data sources of TypeORM, and what a handler gets is TypeORM's own entity manager.
import type { Pool } from 'pg'
import { EntitySchema, type DataSource, type EntityManager } from 'typeorm'
import { expectTypeOf, test } from 'vitest'
import { typeorm, type TypeormTransaction } from '../../src/drivers/typeorm.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'

declare const source: DataSource
declare const pool: Pool
declare const broker: Broker
const Stock = new EntitySchema<{ sku: string; onHand: number }>({ name: 'stock', columns: {} })

test('the transaction is an entity manager', () => {
  expectTypeOf(typeorm(source)).toEqualTypeOf<Driver<TypeormTransaction<DataSource>>>()
  expectTypeOf<TypeormTransaction<DataSource>>().toEqualTypeOf<EntityManager>()
  typeorm(source, { connectionTimeout: 5000, prepare: true })

  // @ts-expect-error -- a pool: TypeORM's own data source is meant
  typeorm(pool)
  // @ts-expect-error -- an option that there is not
  typeorm(source, { lockTimeout: 5000 })
  // @ts-expect-error -- the data source is no transaction
  void typeorm(source).query('SELECT 1', [], source)
})

test('a transaction of the user goes into send, and a handler gets the same', () => {
  const tandem = createTandem({ service: 'order', store: postgres(typeorm(source)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void source.transaction('SERIALIZABLE', async (tx) => {
    await tandem.send(tx, placed({ sku: 'a' }))
    await tx.transaction((savepoint) => tandem.send(savepoint, placed({ sku: 'b' })))
  })
  tandem.consume(placed, async ({ sku }, { tx }) => {
    const row = await tx.getRepository(Stock).findOneBy({ sku })
    expectTypeOf(row?.onHand).toEqualTypeOf<number | undefined>()
  })
})
