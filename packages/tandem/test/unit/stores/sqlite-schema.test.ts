import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { outgoing } from '../../../src/conformance/store-kit.ts'
import { nodeSqlite, type NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import type { Store } from '../../../src/spi/store.ts'
import { sqlite, type SqliteOptions } from '../../../src/stores/sqlite/index.ts'

let folder = ''
let file = ''
const open: { close(): unknown }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-schema-'))
  file = join(folder, 'store.db')
})
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
  await rm(folder, { recursive: true })
})

function storeOn(options: SqliteOptions = {}): Store<NodeSqliteTransaction> {
  const store = sqlite(nodeSqlite(file), options)
  open.push(store)
  return store
}

async function migrated(options: SqliteOptions = {}): Promise<Store<NodeSqliteTransaction>> {
  const store = storeOn({ ...options, migrate: true })
  await store.open({ service: 'test' })
  return store
}

/** Does something to the tables behind the store's back. */
function tamper(...statements: readonly string[]): void {
  const db = new DatabaseSync(file)
  for (const sql of statements) db.exec(sql)
  db.close()
}

const OPEN = { service: 'test' }

describe('opening', () => {
  it('does not make tables unless told to, and says what to do', async () => {
    const store = storeOn()
    await expect(store.open(OPEN)).rejects.toMatchObject({
      code: 'SCHEMA_OUTDATED',
      message: expect.stringMatching(/are missing.*tandem migrate.*migrate: true/) as string,
    })
    expect(await store.schema.status()).toMatchObject({ version: 0, latest: 1, drift: [] })
  })

  it('makes them when told to, also when several processes do it at once', async () => {
    await Promise.all([migrated(), migrated(), migrated()])
    expect(await (await migrated()).schema.status()).toMatchObject({ version: 1, pending: [], drift: [] })
  })

  it('only looks for who only looks', async () => {
    const store = storeOn({ migrate: true })
    await expect(store.open({ ...OPEN, migrate: false })).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' })
    expect((await store.schema.status()).version).toBe(0)
    await store.open(OPEN)
    expect((await store.schema.status()).version).toBe(1)
  })

  it('goes on with later tables that it can work with', async () => {
    await migrated()
    tamper("INSERT INTO tandem_schema_version VALUES (2, 'more', 'x', 0, 0)", 'CREATE TABLE tandem_more (id INTEGER)')
    const store = storeOn()
    await store.open(OPEN)
    expect(await store.schema.status()).toEqual({ version: 2, latest: 1, pending: [], drift: [] })
  })

  it('refuses later tables that it cannot work with', async () => {
    await migrated()
    tamper("INSERT INTO tandem_schema_version VALUES (2, 'other', 'x', 0, 1), (3, 'more', 'x', 0, 0)")
    await expect(storeOn().open(OPEN)).rejects.toMatchObject({
      code: 'SCHEMA_TOO_NEW',
      message: expect.stringContaining('version 2 (other)') as string,
    })
    await expect(migrated()).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' })
  })

  it('leaves nothing half done when there is no room for the tables', async () => {
    const db = new DatabaseSync(file)
    open.push(db)
    db.exec('PRAGMA max_page_count = 20')
    const store = sqlite(nodeSqlite(db), { migrate: true })
    open.push(store)
    await expect(store.open(OPEN)).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(db.prepare('SELECT name FROM sqlite_master').all()).toEqual([])
    db.exec('PRAGMA max_page_count = 1000')
    await store.open(OPEN)
  })
})

describe('drift', () => {
  it.each([
    ['DROP INDEX tandem_outbox_held_state', 'index tandem_outbox_held_state is missing'],
    ['DROP TABLE tandem_audit', 'table tandem_audit is missing'],
    ['ALTER TABLE tandem_inbox ADD COLUMN mine TEXT', 'table tandem_inbox is not as its migration makes it'],
    ['CREATE INDEX mine ON tandem_outbox (type)', "index mine is not one of Tandem's"],
    ['CREATE TRIGGER mine AFTER INSERT ON tandem_outbox BEGIN SELECT 1; END', "trigger mine is not one of Tandem's"],
    ["UPDATE tandem_schema_version SET checksum = 'x'", 'migration 1 (tandem) was applied with another text'],
  ])('%s is told', async (change, told) => {
    await migrated()
    tamper(change)
    const store = storeOn()
    await store.open(OPEN)
    expect((await store.schema.status()).drift).toEqual([expect.stringContaining(told)])
  })

  it("the user's own tables are none of it", async () => {
    await migrated()
    tamper('CREATE TABLE tandem_orders (id INTEGER)', 'CREATE INDEX orders_id ON tandem_orders (id)')
    await expect((await migrated()).schema.status()).resolves.toMatchObject({ drift: [] })
  })
})

describe('options', () => {
  it('stores of two prefixes live side by side', async () => {
    const one = await migrated()
    const two = await migrated({ tablePrefix: 'other_' })
    await one.transaction((tx) => one.outbox.insert(tx, [outgoing('a')]))
    expect((await one.admin.overview()).outbox.unsent).toBe(1)
    expect((await two.admin.overview()).outbox.unsent).toBe(0)
    for (const store of [one, two]) expect((await store.schema.status()).drift).toEqual([])
  })

  it.each(['', 'tandem', 'Tandem_', '1_', 'a b_', 'sqlite_', 'x"; DROP TABLE orders; --_', `${'a'.repeat(40)}_`])(
    'refuses the prefix %j',
    (tablePrefix) => {
      expect(() => sqlite(nodeSqlite(file), { tablePrefix })).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID' }),
      )
    },
  )

  it('refuses what is not a SQLite driver, and options that nothing reads', () => {
    const code = (expected: string): unknown => expect.objectContaining({ code: expected })
    expect(() => sqlite(undefined as never)).toThrow(code('CONFIG_INVALID'))
    expect(() => sqlite({ dialect: 'postgres' } as never)).toThrow(code('CONFIG_INVALID'))
    expect(() => sqlite(nodeSqlite(file), { migrate: 'yes' } as never)).toThrow(code('CONFIG_INVALID'))
    expect(() => sqlite(nodeSqlite(file), { prefix: 'x_' } as never)).toThrow(code('OPTION_UNKNOWN'))
  })

  it("takes its time from the database's clock", async () => {
    const before = Date.now()
    const { now } = await (await migrated()).admin.overview()
    expect(now).toBeGreaterThanOrEqual(before - 1)
    expect(now).toBeLessThanOrEqual(Date.now() + 1)
  })
})

it('the numbered file holds plain statements with one prefix, and no semicolon but at their ends', async () => {
  const sql = await readFile(new URL('../../../sql/sqlite/0001_tandem.sql', import.meta.url), 'utf8')
  const statements = sql.replaceAll(/--[^\n]*/g, '').split(';')
  expect(statements.pop()?.trim()).toBe('')
  for (const statement of statements) expect(statement.trim()).toMatch(/^CREATE (TABLE|(UNIQUE )?INDEX) tandem_\w+ /)
  expect(sql).toMatch(/^-- breaking: (yes|no)$/m)
})
