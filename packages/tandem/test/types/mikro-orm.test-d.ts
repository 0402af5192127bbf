// `mikroOrm` takes the entity manager of MikroORM, and what a handler gets is one as well.
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import type { Pool } from 'pg'
import { expectTypeOf, test } from 'vitest'
import { mikroOrm } from '../../src/drivers/mikro-orm.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'

declare const orm: MikroORM
declare const em: EntityManager
declare const pool: Pool
declare const broker: Broker

test('the transaction is an entity manager', () => {
  expectTypeOf(mikroOrm(em)).toEqualTypeOf<Driver<EntityManager>>()
  mikroOrm(em, { connectionTimeout: 5000 })

  // @ts-expect-error -- a pool: MikroORM's own entity manager is meant
  mikroOrm(pool)
  // @ts-expect-error -- an option that there is not
  mikroOrm(em, { lockTimeout: 5000 })
})

test('a transaction of the user goes into send', () => {
  const tandem = createTandem({ service: 'order', store: postgres(mikroOrm(orm.em)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void orm.em.fork().transactional(async (tx) => {
    await tandem.send(tx, placed({ sku: 'a' }))
  })
})
