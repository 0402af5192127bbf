// The structural types of the drivers of PostgreSQL fit the real libraries, and what a handler gets is what the library gives.
import type { Client, Pool, PoolClient } from 'pg'
import type postgres from 'postgres'
import { expectTypeOf, test } from 'vitest'
import { pg, type PgTransaction } from '../../src/drivers/pg.ts'
import { postgresJs, type PostgresJsTransaction } from '../../src/drivers/postgres-js.ts'
import type { Driver } from '../../src/spi/driver.ts'

declare const pool: Pool
declare const client: Client
declare const sql: postgres.Sql
declare const sqlWithTypes: postgres.Sql<{ money: bigint }>
declare const transactionSql: postgres.TransactionSql

test('pg', () => {
  expectTypeOf(pg(pool)).toEqualTypeOf<Driver<PgTransaction<Pool>>>()
  expectTypeOf<PgTransaction<Pool>>().toEqualTypeOf<PoolClient>()
  pg(pool, { connectionTimeout: 5000, prepare: true })

  // @ts-expect-error -- a pool of another library
  pg(sql)
  // @ts-expect-error -- a client is no pool
  pg(client)
  // @ts-expect-error -- an option that there is not
  pg(pool, { lockTimeout: 5000 })
  // @ts-expect-error -- the pool is no transaction
  void pg(pool).query('SELECT 1', [], pool)
  // @ts-expect-error -- a transaction of another library
  void pg(pool).query('SELECT 1', [], transactionSql)
})

test('postgres.js', () => {
  expectTypeOf(postgresJs(sql)).toEqualTypeOf<Driver<PostgresJsTransaction<postgres.Sql>>>()
  expectTypeOf<PostgresJsTransaction<postgres.Sql>>().toEqualTypeOf<postgres.TransactionSql>()
  expectTypeOf<PostgresJsTransaction<typeof sqlWithTypes>>().toEqualTypeOf<postgres.TransactionSql<{ money: bigint }>>()
  postgresJs(sql, { connectionTimeout: 5000 })

  // @ts-expect-error -- a pool of another library
  postgresJs(pool)
  // @ts-expect-error -- an option that there is not
  postgresJs(sql, { prepare: true })
  // @ts-expect-error -- the instance is no transaction
  void postgresJs(sql).query('SELECT 1', [], sql)
  // @ts-expect-error -- a transaction of another library
  void postgresJs(sql).query('SELECT 1', [], client)
})

test('what a handler does with its transaction', () => {
  void pg(pool).transaction(async (tx) => {
    const { rows, rowCount } = await tx.query<{ on_hand: number }>('SELECT on_hand FROM stock WHERE sku = $1', ['a'])
    expectTypeOf(rows[0]?.on_hand).toEqualTypeOf<number | undefined>()
    expectTypeOf(rowCount).toEqualTypeOf<number | null>()
    const named = await tx.query({ name: 'stock', text: 'SELECT 1', values: ['a'], rowMode: 'array' as const })
    expectTypeOf(named.rows).toBeArray()
    tx.query('SELECT 1', (error, result) => [error.message, result.rows])
  })
  void postgresJs(sql).transaction(async (tx) => {
    const [row] = await tx<{ on_hand: number }[]>`SELECT on_hand FROM stock WHERE sku = ${'a'}`
    expectTypeOf(row?.on_hand).toEqualTypeOf<number | undefined>()
    await tx.savepoint(async (inner) => inner`UPDATE stock SET ${inner({ on_hand: 1 })}`)
  })
})
