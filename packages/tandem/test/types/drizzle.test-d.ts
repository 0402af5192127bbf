// `drizzle` takes the databases of drizzle, and what a handler gets is drizzle's own transaction with the user's schema.
import { eq, type ExtractTablesWithRelations } from 'drizzle-orm'
import type { NodePgDatabase, NodePgQueryResultHKT } from 'drizzle-orm/node-postgres'
import { drizzle as overPg } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, type PgTransaction } from 'drizzle-orm/pg-core'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import { Pool } from 'pg'
import type postgres from 'postgres'
import { expectTypeOf, test } from 'vitest'
import { drizzle } from '../../src/drivers/drizzle.ts'
import { createTandem, message } from '../../src/index.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Broker } from '../../src/spi/index.ts'
import { postgres as postgresStore } from '../../src/stores/postgres/index.ts'

const stock = pgTable('stock', { sku: text().primaryKey(), onHand: integer().notNull() })
const schema = { stock }
declare const sql: postgres.Sql
declare const broker: Broker
const pool = new Pool()
const db = overPg({ client: pool, schema })
const dbOverPostgresJs = overPostgresJs({ client: sql, schema })
declare const typedOnly: NodePgDatabase<typeof schema>

type TxOf<D> = D extends Driver<infer Tx> ? Tx : never

test('the transaction is the one of the database, with its schema', () => {
  type Tx = TxOf<ReturnType<typeof drizzle<typeof db>>>
  expectTypeOf<Tx>().toEqualTypeOf<
    PgTransaction<NodePgQueryResultHKT, typeof schema, ExtractTablesWithRelations<typeof schema>>
  >()
  expectTypeOf(drizzle(typedOnly)).toEqualTypeOf(drizzle(db))
  drizzle(db, { connectionTimeout: 5000, prepare: true })

  // @ts-expect-error -- a pool: drizzle's own database is meant
  drizzle(pool)
  // @ts-expect-error -- an option that there is not
  drizzle(db, { timeout: 5000 })
  // @ts-expect-error -- the database is no transaction
  void drizzle(db).query('SELECT 1', [], db)
})

test('a transaction of the user goes into send, and a handler gets the same', () => {
  const tandem = createTandem({ service: 'order', store: postgresStore(drizzle(db)), broker })
  const placed = message<{ sku: string }>('orders.placed')
  void db.transaction(async (tx) => {
    await tandem.send(tx, placed({ sku: 'a' }))
    await tx.transaction((savepoint) => tandem.send(savepoint, placed({ sku: 'b' })))
    // @ts-expect-error -- the database is no transaction
    await tandem.send(db, placed({ sku: 'c' }))
  })
  tandem.consume(placed, async ({ sku }, { tx }) => {
    const row = await tx.query.stock.findFirst({ where: eq(stock.sku, sku) })
    expectTypeOf(row?.onHand).toEqualTypeOf<number | undefined>()
    await tx.update(stock).set({ onHand: 1 }).where(eq(stock.sku, sku))
  })
})

test('over postgres.js', () => {
  void drizzle(dbOverPostgresJs).transaction(async (tx) => {
    const rows = await tx.select().from(stock)
    expectTypeOf(rows).toEqualTypeOf<{ sku: string; onHand: number }[]>()
  })
})
