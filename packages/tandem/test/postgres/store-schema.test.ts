// The tables of the PostgreSQL store: who makes them, who looks at them, what differs.
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { outgoing } from '../../src/conformance/store-kit.ts'
import { pg as pgDriver, type PgTransaction } from '../../src/drivers/pg.ts'
import type { Store } from '../../src/spi/store.ts'
import { postgres, type PostgresOptions } from '../../src/stores/postgres/index.ts'
import { catalogStatement, objectRow } from '../../src/stores/postgres/schema-drift.ts'
import { writeObjects } from '../../src/stores/shared/schema-drift.ts'
import type { PostgresAddress } from '../support/postgres-server.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const OPEN = { service: 'test' }

describe.skipIf(databases === undefined)('the tables of the PostgreSQL store', () => {
  // Also run where there is no server, to find the tests to skip.
  const { control, home } = databases ?? ({} as NonNullable<typeof databases>)
  const pools: pg.Pool[] = []

  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.end()))
  })

  function storeOn(options: PostgresOptions, address: Partial<PostgresAddress> = {}): Store<PgTransaction<pg.Pool>> {
    const pool = new pg.Pool({ ...home, ...address, max: 2 })
    pools.push(pool)
    return postgres(pgDriver(pool), options)
  }

  async function migrated(schema: string): Promise<Store<PgTransaction<pg.Pool>>> {
    const store = storeOn({ schema, migrate: true })
    await store.open(OPEN)
    return store
  }

  describe('opening', () => {
    it('does not make tables unless told to, and says what to do', async () => {
      const store = storeOn({ schema: nextSchema() })
      await expect(store.open(OPEN)).rejects.toMatchObject({
        code: 'SCHEMA_OUTDATED',
        message: expect.stringMatching(/are missing.*tandem migrate.*migrate: true/) as string,
      })
      expect(await store.schema.status()).toMatchObject({ version: 0, latest: 1, drift: [] })
    })

    it('only looks for who only looks', async () => {
      const schema = nextSchema()
      const store = storeOn({ schema, migrate: true })
      await expect(store.open({ ...OPEN, migrate: false })).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' })
      expect(await control.run('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])).toEqual([])
      await store.open(OPEN)
      expect((await store.schema.status()).version).toBe(1)
    })

    it('of ten that make them at the same moment one does, and the others find it done', async () => {
      const schema = nextSchema()
      const stores = Array.from({ length: 10 }, () => storeOn({ schema }))
      for (const store of stores) await store.open(OPEN).catch(() => undefined)
      const applied = await Promise.all(stores.map((store) => store.schema.migrate()))
      expect(applied.map(({ length }) => length).filter((length) => length > 0)).toEqual([1])
      await Promise.all(stores.map((store) => store.open(OPEN)))
      expect(await control.run(`SELECT version FROM ${schema}.schema_version`)).toEqual([{ version: 1 }])
    })

    it.each(['repeatable read', 'serializable'])('and also where transactions are %s', async (level) => {
      const schema = nextSchema()
      const stores = Array.from({ length: 5 }, () => {
        const pool = new pg.Pool({ ...home, options: `-c default_transaction_isolation=${level.replace(' ', '\\ ')}` })
        pools.push(pool)
        return postgres(pgDriver(pool), { schema, migrate: true })
      })
      await Promise.all(stores.map((store) => store.open(OPEN)))
      expect(await control.run(`SELECT version FROM ${schema}.schema_version`)).toEqual([{ version: 1 }])
    })

    it('goes on with later tables that it can work with', async () => {
      const schema = nextSchema()
      await migrated(schema)
      await control.run(`INSERT INTO ${schema}.schema_version VALUES (2, 'more', 'x', now(), false)`)
      await control.run(`ALTER TABLE ${schema}.outbox ADD COLUMN more text`)
      const store = storeOn({ schema })
      await store.open(OPEN)
      expect(await store.schema.status()).toEqual({ version: 2, latest: 1, pending: [], drift: [] })
    })

    it('refuses later tables that it cannot work with', async () => {
      const schema = nextSchema()
      await migrated(schema)
      await control.run(`INSERT INTO ${schema}.schema_version VALUES (2, 'other', 'x', now(), true)`)
      await expect(storeOn({ schema }).open(OPEN)).rejects.toMatchObject({
        code: 'SCHEMA_TOO_NEW',
        message: expect.stringContaining('version 2 (other)') as string,
      })
    })

    it('refuses a database that is not in UTF-8', async () => {
      await control.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
      const store = storeOn({ migrate: true }, { database: 'latin' })
      await expect(store.open(OPEN)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
      await Promise.all(pools.splice(0).map((pool) => pool.end()))
      await control.run('DROP DATABASE latin')
    })
  })

  describe('who makes them', () => {
    it('may be a role that owns the schema and may make no other', async () => {
      const schema = nextSchema()
      await control.run(`CREATE ROLE ${schema}_owner LOGIN`)
      await control.run(`CREATE SCHEMA ${schema} AUTHORIZATION ${schema}_owner`)
      const store = storeOn({ schema, migrate: true }, { user: `${schema}_owner` })
      await store.open(OPEN)
      expect(await store.schema.status()).toMatchObject({ version: 1, pending: [], drift: [] })
      await control.run(`DROP OWNED BY ${schema}_owner CASCADE`)
      await control.run(`DROP ROLE ${schema}_owner`)
    })

    it('may be a person: what is pending is printed whole', async () => {
      const schema = nextSchema()
      const store = storeOn({ schema })
      await store.open(OPEN).catch(() => undefined)
      const { pending } = await store.schema.status()
      await control.run(`BEGIN; ${pending.map(({ sql }) => sql).join('\n')}; COMMIT`)
      await store.open(OPEN)
      expect(await store.schema.status()).toEqual({ version: 1, latest: 1, pending: [], drift: [] })
    })
  })

  describe('drift', () => {
    it('the list of objects is that of the migrations', async () => {
      const schema = nextSchema()
      await migrated(schema)
      const found = (await control.run(catalogStatement, [schema])).map((row) => objectRow(row, schema))
      await expect(writeObjects(found)).toMatchFileSnapshot('../../sql/postgres/0001_tandem.objects.txt')
    })

    it.each([
      ['DROP INDEX outbox_back', ['index outbox_back is missing']],
      ['DROP TABLE audit', ['table audit is missing']],
      ['DROP TABLE inbox_attempt', ['table inbox_attempt is missing']],
      ['ALTER TABLE inbox DROP COLUMN source', ['column inbox.source is missing']],
      ['ALTER TABLE inbox ADD COLUMN mine text', ["column inbox.mine (text) is not one of Tandem's"]],
      ['ALTER TABLE half ALTER COLUMN key SET NOT NULL', ['column half.key is "text not null" and should be "text"']],
      [
        'ALTER TABLE audit ALTER COLUMN reason TYPE varchar(10)',
        ['column audit.reason is "character varying(10)" and should be "text"'],
      ],
      [
        "ALTER TABLE outbox ALTER COLUMN position SET DEFAULT nextval('outbox_position')",
        ['column outbox.position is'],
      ],
      ['ALTER SEQUENCE outbox_position CACHE 10', ['sequence outbox_position is "increment 1, cache 10"']],
      ['CREATE INDEX mine ON outbox (type)', ["index mine (btree on outbox (type)) is not one of Tandem's"]],
      [
        'DROP INDEX half_id; CREATE INDEX half_id ON half (id)',
        ['index half_id is "btree on half (id)" and should be'],
      ],
      ['ALTER TABLE outbox ADD CONSTRAINT mine CHECK (shard < 9)', ['constraint mine (CHECK (shard < 9)']],
      [
        'CREATE TRIGGER mine BEFORE UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
        ["trigger mine (on lease) is not one of Tandem's"],
      ],
      ['ALTER TABLE outbox ENABLE ROW LEVEL SECURITY', ['row security of outbox (is on)']],
      ["UPDATE schema_version SET checksum = 'x'", ['migration 1 (tandem) was applied with another text']],
    ])('%s is told', async (change, told) => {
      const schema = nextSchema()
      await migrated(schema)
      await control.run(`BEGIN; SET LOCAL search_path = ${schema}; ${change}; COMMIT`)
      const store = storeOn({ schema })
      await store.open(OPEN)
      expect((await store.schema.status()).drift).toEqual(
        told.map((text) => expect.stringContaining(text) as unknown as string),
      )
    })

    it('settings of storage are the owner’s own, and so are tables of his', async () => {
      const schema = nextSchema()
      const store = await migrated(schema)
      await control.run(`ALTER TABLE ${schema}.outbox SET (fillfactor = 50)`)
      await control.run(`CREATE TABLE ${schema}.orders (id int PRIMARY KEY)`)
      expect((await store.schema.status()).drift).toEqual([])
    })

    it('is told to a role that may read nothing but the versions', async () => {
      const schema = nextSchema()
      await migrated(schema)
      await control.run(`CREATE ROLE ${schema}_reader LOGIN`)
      await control.run(`GRANT USAGE ON SCHEMA ${schema} TO ${schema}_reader`)
      await control.run(`GRANT SELECT ON ${schema}.schema_version TO ${schema}_reader`)
      await control.run(`DROP INDEX ${schema}.half_due`)
      const store = storeOn({ schema }, { user: `${schema}_reader` })
      await store.open(OPEN)
      expect((await store.schema.status()).drift).toEqual(['index half_due is missing'])
      await control.run(`DROP OWNED BY ${schema}_reader`)
      await control.run(`DROP ROLE ${schema}_reader`)
    })
  })

  it('services in one database have a schema each, also one that is a word of SQL', async () => {
    const [one, two] = [await migrated('order'), await migrated(nextSchema())]
    await one.transaction((tx) => one.outbox.insert(tx, [outgoing('a')]))
    expect((await one.admin.overview()).outbox.unsent).toBe(1)
    expect((await two.admin.overview()).outbox.unsent).toBe(0)
    for (const store of [one, two]) expect((await store.schema.status()).drift).toEqual([])
  })

  it("takes its time from the database's clock", async () => {
    const store = await migrated(nextSchema())
    const before = Date.now()
    const { now } = await store.admin.overview()
    expect(now).toBeGreaterThanOrEqual(before - 1)
    expect(now).toBeLessThanOrEqual(Date.now() + 1)
  })
})
