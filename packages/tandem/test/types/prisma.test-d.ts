// `prisma` takes generated clients, and what a handler gets is the client of an interactive transaction, with the user's models.
import type { Pool } from 'pg'
import { expectTypeOf, test } from 'vitest'
import type { Prisma, PrismaClient } from '../../../../examples/drivers/prisma/generated/client.ts'
import { prisma, type PrismaTransaction } from '../../src/drivers/prisma.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres } from '../../src/stores/postgres/index.ts'

declare const client: PrismaClient
declare const pool: Pool
declare const broker: Broker

test('the transaction is the client of an interactive transaction', () => {
  expectTypeOf(prisma(client)).toEqualTypeOf<Driver<PrismaTransaction<PrismaClient>>>()
  expectTypeOf<PrismaTransaction<PrismaClient>>().toEqualTypeOf<Prisma.TransactionClient>()
  prisma(client, { connectionTimeout: 5000 })

  // @ts-expect-error -- a pool: Prisma's own client is meant
  prisma(pool)
  // @ts-expect-error -- an option that there is not
  prisma(client, { timeout: 5000 })
  void client.$transaction(async (tx) => {
    // @ts-expect-error -- the client of a transaction is no client that Tandem can run on
    prisma(tx)
    return Promise.resolve()
  })
})

test('a transaction of the user goes into send, and a handler gets the same', () => {
  const tandem = createTandem({ service: 'order', store: postgres(prisma(client)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void client.$transaction(async (tx) => {
    await tandem.send(tx, placed({ sku: 'a' }))
    await tx.$transaction((nested) => tandem.send(nested, placed({ sku: 'b' })))
  })
  tandem.consume(placed, async ({ sku }, { tx }) => {
    const row = await tx.stock.findUnique({ where: { sku } })
    expectTypeOf(row?.reserved).toEqualTypeOf<number | undefined>()
  })
})

test('extended clients', () => {
  const extended = client.$extends({ model: { stock: { hello: () => 'hello' } } })
  const tandem = createTandem({ service: 'order', store: postgres(prisma(extended)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void extended.$transaction((tx) => tandem.send(tx, placed({ sku: 'a' })))
  tandem.consume(placed, async (_, { tx }) => {
    expectTypeOf(tx.stock.hello()).toBeString()
    await tx.order.count()
  })
})
