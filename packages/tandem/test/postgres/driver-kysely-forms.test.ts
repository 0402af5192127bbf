// What only Kysely has: transactions that the user ends himself, instances made from others, other parsers.
import { CamelCasePlugin, Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import { Pool, types } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { kysely } from '../../src/drivers/kysely.ts'
import { refusal } from '../support/errors.ts'
import { createDatabase, execute, hasPostgres, query, type TestDatabase } from '../support/postgres.ts'

type Database = Record<'t', { id: number }>
let database: TestDatabase
const open: Kysely<Database>[] = []

function connect(options: object = {}): Kysely<Database> {
  const db = new Kysely<Database>({
    dialect: new PostgresDialect({ pool: new Pool({ ...database.socket, max: 3, ...options }) }),
    plugins: [new CamelCasePlugin()],
  })
  open.push(db)
  return db
}
const ids = async (): Promise<unknown[]> =>
  (await query(database.socket, 'SELECT id FROM t ORDER BY id')).map((row) => row['id'])

beforeAll(async () => {
  if (!hasPostgres) return
  database = await createDatabase()
  await execute(database.socket, 'CREATE TABLE t (id int PRIMARY KEY)')
})
afterAll(async () => {
  for (const db of open) await db.destroy()
  await database?.drop()
})

test.skipIf(!hasPostgres)('a transaction that the user ends himself, and what is made from it', async () => {
  const db = connect()
  const driver = kysely(db)
  await driver.open({ service: 'test' })
  const insert = (trx: Transaction<Database>, id: number) => driver.query('INSERT INTO t (id) VALUES ($1)', [id], trx)
  const trx = await db.startTransaction().execute()
  await insert(trx, 1)
  await insert(trx.withSchema('public'), 2)
  const savepoint = await trx.savepoint('s').execute()
  await insert(savepoint, 3)
  await savepoint.rollbackToSavepoint('s').execute()
  expect(driver.inspect(trx)).toBe('open')
  await trx.commit().execute()
  for (const ended of [trx, savepoint, trx.withSchema('public')]) {
    expect(driver.inspect(ended)).toBe('ended')
    await refusal('TRANSACTION_ENDED', () => insert(ended, 9))
  }
  expect(await ids()).toEqual([1, 2])
})

test.skipIf(!hasPostgres)('what is no transaction of this instance is foreign', async () => {
  const [db, other] = [connect(), connect()]
  const driver = kysely(db)
  await driver.open({ service: 'test' })
  expect(driver.inspect(db)).toBe('foreign')
  await db.connection().execute((connection) => {
    expect(driver.inspect(connection)).toBe('foreign')
    return Promise.resolve()
  })
  await other.transaction().execute(async (trx) => {
    expect(driver.inspect(trx)).toBe('foreign')
    await refusal('TRANSACTION_INVALID', () => driver.query('SELECT 1 AS one', [], trx))
  })
  await db
    .withSchema('public')
    .transaction()
    .execute((trx) => {
      expect(driver.inspect(trx)).toBe('open')
      return Promise.resolve()
    })
})

test.skipIf(!hasPostgres)('what a handler makes from its transaction is ended with it', async () => {
  const driver = kysely(connect())
  await driver.open({ service: 'test' })
  const made = await driver.transaction(async (trx) => {
    const inSchema = trx.withSchema('public')
    await inSchema.insertInto('t').values({ id: 10 }).execute()
    expect(driver.inspect(inSchema)).toBe('open')
    return inSchema
  })
  expect(driver.inspect(made)).toBe('ended')
  await refusal('TRANSACTION_ENDED', () => made.insertInto('t').values({ id: 11 }).execute())
  await refusal('TRANSACTION_ENDED', () => sql`SELECT 1`.execute(made))
})

test.skipIf(!hasPostgres)('columns that do not arrive as they are make the driver refuse to open', async () => {
  const getTypeParser = ((oid: number): unknown =>
    oid === types.builtins.INT4
      ? (value: string) => ({ value })
      : types.getTypeParser(oid)) as typeof types.getTypeParser
  const error = await refusal('CONFIG_INVALID', () =>
    kysely(connect({ types: { getTypeParser } })).open({ service: 'test' }),
  )
  expect(error.message).toMatch(/"of_int":\{"value":"1"\}/)
})
