// The structural types of the drivers fit the real libraries, and nothing else.
import type Database from 'better-sqlite3'
import type { DatabaseSync } from 'node:sqlite'
import { expectTypeOf, test } from 'vitest'
import {
  betterSqlite3,
  type BetterSqlite3Database,
  type BetterSqlite3Transaction,
} from '../../src/drivers/better-sqlite3.ts'
import { nodeSqlite, type NodeSqliteTransaction } from '../../src/drivers/node-sqlite.ts'
import type { Driver } from '../../src/spi/driver.ts'

declare const nodeDatabase: DatabaseSync
declare const betterDatabase: Database.Database

test('node:sqlite', () => {
  expectTypeOf(nodeSqlite(nodeDatabase)).toEqualTypeOf<Driver<NodeSqliteTransaction>>()
  nodeSqlite('orders.db', { lockTimeout: 5000, slowTransaction: 500, onWarning: (text) => text.length })
  nodeSqlite(({ service }) => `${service}.db`)
  nodeSqlite(() => nodeDatabase)
  // A connection on which the user has begun a transaction.
  expectTypeOf<DatabaseSync>().toExtend<NodeSqliteTransaction>()

  // @ts-expect-error -- a database of another library
  nodeSqlite(betterDatabase)
  // @ts-expect-error -- an option that there is not
  nodeSqlite('orders.db', { lockTimeOut: 5000 })
  // @ts-expect-error -- a transaction of another library
  void nodeSqlite('orders.db').query('SELECT 1', [], betterDatabase)
})

test('better-sqlite3', () => {
  expectTypeOf(betterSqlite3(betterDatabase)).toEqualTypeOf<Driver<BetterSqlite3Transaction>>()
  betterSqlite3(() => betterDatabase, { lockTimeout: 5000 })
  expectTypeOf<Database.Database>().toExtend<BetterSqlite3Database>()
  expectTypeOf<Database.Database>().toExtend<BetterSqlite3Transaction>()

  // @ts-expect-error -- a file name: the library is never imported
  betterSqlite3('orders.db')
  // @ts-expect-error -- a database of another library
  betterSqlite3(nodeDatabase)
  // @ts-expect-error -- a transaction of another library
  void betterSqlite3(betterDatabase).query('SELECT 1', [], nodeDatabase)
})

test('what a handler does with its transaction', () => {
  void nodeSqlite('orders.db').transaction(async (tx) => {
    const row = tx.prepare('SELECT on_hand FROM stock WHERE sku = ?').get('a') as { on_hand: number } | undefined
    const { changes, lastInsertRowid } = tx.prepare('UPDATE stock SET on_hand = $n').run({ n: 1 })
    for (const each of tx.prepare('SELECT 1').iterate()) expectTypeOf(each).toBeObject()
    expectTypeOf(row?.on_hand).toEqualTypeOf<number | undefined>()
    expectTypeOf([changes, lastInsertRowid]).toEqualTypeOf<(number | bigint)[]>()
    expectTypeOf(tx.isTransaction).toBeBoolean()
    expectTypeOf(tx).not.toHaveProperty('close')
  })
  void betterSqlite3(betterDatabase).transaction(async (tx) => {
    const row = tx.prepare('SELECT on_hand FROM stock WHERE sku = @sku').get({ sku: 'a' }) as { on_hand: number }
    const { changes } = tx.prepare('UPDATE stock SET on_hand = ?').run(1)
    expectTypeOf(row.on_hand).toBeNumber()
    expectTypeOf(changes).toBeNumber()
    expectTypeOf(tx.inTransaction).toBeBoolean()
    // Statements are kept prepared, so nothing may change how they answer.
    expectTypeOf(tx.prepare('SELECT 1')).not.toHaveProperty('pluck')
  })
})
