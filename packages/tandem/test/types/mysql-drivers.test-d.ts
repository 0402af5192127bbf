// The structural types of the driver of MySQL fit the real library, and what a handler gets is what the library gives.
import type callbacks from 'mysql2'
import type promises from 'mysql2/promise'
import { expectTypeOf, test } from 'vitest'
import { mysql2, type Mysql2Transaction } from '../../src/drivers/mysql2.ts'
import type { Driver } from '../../src/spi/driver.ts'

declare const pool: promises.Pool
declare const connection: promises.Connection
declare const pooled: promises.PoolConnection
declare const callbackPool: callbacks.Pool
declare const callbackConnection: callbacks.Connection

test('mysql2', () => {
  expectTypeOf(mysql2(pool)).toEqualTypeOf<Driver<Mysql2Transaction<promises.Pool>>>()
  expectTypeOf<Mysql2Transaction<promises.Pool>>().toEqualTypeOf<promises.PoolConnection>()
  mysql2(pool, { connectionTimeout: 5000 })
  void mysql2(pool).query('SELECT 1', [], pooled)

  // @ts-expect-error -- a connection is no pool
  mysql2(connection)
  // @ts-expect-error -- an option that there is not
  mysql2(pool, { prepare: true })
  // @ts-expect-error -- the pool is no transaction
  void mysql2(pool).query('SELECT 1', [], pool)
})

test('mysql2 with callbacks', () => {
  expectTypeOf(mysql2(callbackPool)).toEqualTypeOf<Driver<callbacks.PoolConnection>>()

  // @ts-expect-error -- a connection is no pool
  mysql2(callbackConnection)
  // @ts-expect-error -- a connection with promises
  void mysql2(callbackPool).query('SELECT 1', [], pooled)
})

test('what a handler does with its transaction', () => {
  void mysql2(pool).transaction(async (tx) => {
    const [rows] = await tx.query<promises.RowDataPacket[]>('SELECT on_hand FROM stock WHERE sku = ?', ['a'])
    expectTypeOf(rows).toEqualTypeOf<promises.RowDataPacket[]>()
    const [{ affectedRows }] = await tx.execute<promises.ResultSetHeader>('UPDATE stock SET on_hand = ?', [1])
    expectTypeOf(affectedRows).toEqualTypeOf<number>()
  })
  void mysql2(callbackPool).transaction(async (tx) => {
    tx.query('SELECT 1', (error, rows) => [error?.code, rows])
    await Promise.resolve()
  })
})
