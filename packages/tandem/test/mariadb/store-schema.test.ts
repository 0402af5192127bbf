// The tables of the MySQL store: who makes them, who looks at them, what differs.
import mysql2 from 'mysql2/promise'
import { afterEach, describe, expect, it } from 'vitest'
import { outgoing } from '../../src/conformance/store-kit.ts'
import { mysql2 as driverOn, type Mysql2Transaction } from '../../src/drivers/mysql2.ts'
import type { Driver } from '../../src/spi/driver.ts'
import type { Store } from '../../src/spi/store.ts'
import { mysql, type MysqlOptions } from '../../src/stores/mysql/index.ts'
import { catalogParams, catalogStatement, objectRow } from '../../src/stores/mysql/schema-drift.ts'
import { writeObjects } from '../../src/stores/shared/schema-drift.ts'
import { dropTables, nextPrefix, storeDatabases } from './store-fixture.ts'

type Tx = Mysql2Transaction<mysql2.Pool>

const databases = await storeDatabases()
const OPEN = { service: 'test' }
const BYTES = 'utf8mb4_nopad_bin'

describe.skipIf(databases === undefined)('the tables of the MySQL store', () => {
  // Also run where there is no server, to find the tests to skip.
  const { control, home } = databases ?? ({} as NonNullable<typeof databases>)
  const pools: mysql2.Pool[] = []

  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.end()))
  })

  function poolOn(address: Partial<mysql2.PoolOptions> = {}): mysql2.Pool {
    const pool = mysql2.createPool({ ...home, connectionLimit: 2, ...address })
    pools.push(pool)
    return pool
  }

  function storeOn(options: MysqlOptions, address: Partial<mysql2.PoolOptions> = {}): Store<Tx> {
    return mysql(driverOn(poolOn(address)), options)
  }

  async function migrated(tablePrefix: string): Promise<Store<Tx>> {
    const store = storeOn({ tablePrefix, migrate: true })
    await store.open(OPEN)
    return store
  }

  const versions = (prefix: string): Promise<Record<string, unknown>[]> =>
    control.run(`SELECT version FROM ${prefix}schema_version`)

  describe('opening', () => {
    it('does not make tables unless told to, and says what to do', async () => {
      const store = storeOn({ tablePrefix: nextPrefix() })
      await expect(store.open(OPEN)).rejects.toMatchObject({
        code: 'SCHEMA_OUTDATED',
        message: expect.stringMatching(/are missing.*tandem migrate.*migrate: true/) as string,
      })
      expect(await store.schema.status()).toMatchObject({ version: 0, latest: 1, drift: [] })
    })

    it('only looks for who only looks', async () => {
      const prefix = nextPrefix()
      const store = storeOn({ tablePrefix: prefix, migrate: true })
      await expect(store.open({ ...OPEN, migrate: false })).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' })
      expect(await control.run(`SHOW TABLES LIKE '${prefix}%'`)).toEqual([])
      await store.open(OPEN)
      expect((await store.schema.status()).version).toBe(1)
    })

    it('of ten that make them at the same moment one does, and the others find it done', async () => {
      const prefix = nextPrefix()
      const stores = Array.from({ length: 10 }, () => storeOn({ tablePrefix: prefix }))
      for (const store of stores) await store.open(OPEN).catch(() => undefined)
      const applied = await Promise.all(stores.map((store) => store.schema.migrate()))
      expect(applied.map(({ length }) => length).filter((length) => length > 0)).toEqual([1])
      await Promise.all(stores.map((store) => store.open(OPEN)))
      expect(await versions(prefix)).toEqual([{ version: 1 }])
    })

    it('goes on with later tables that it can work with', async () => {
      const prefix = nextPrefix()
      await migrated(prefix)
      await control.run(`INSERT INTO ${prefix}schema_version VALUES (2, 'more', 'x', now(), 0)`)
      await control.run(`ALTER TABLE ${prefix}outbox ADD COLUMN more TEXT`)
      const store = storeOn({ tablePrefix: prefix })
      await store.open(OPEN)
      expect(await store.schema.status()).toEqual({ version: 2, latest: 1, pending: [], drift: [] })
    })

    it('refuses later tables that it cannot work with', async () => {
      const prefix = nextPrefix()
      await migrated(prefix)
      await control.run(`INSERT INTO ${prefix}schema_version VALUES (2, 'other', 'x', now(), 1)`)
      await expect(storeOn({ tablePrefix: prefix }).open(OPEN)).rejects.toMatchObject({
        code: 'SCHEMA_TOO_NEW',
        message: expect.stringContaining('version 2 (other)') as string,
      })
    })

    it.each([
      ['5.7.44-log', /MySQL 5\.7\.44-log is too old: Tandem needs MySQL 8\.0\.17 or MariaDB 10\.6\.0/],
      ['8.0.16', /MySQL 8\.0\.16 is too old/],
      ['10.5.29-MariaDB', /MariaDB 10\.5\.29-MariaDB is too old/],
      ['5.5.5-10.3.39-MariaDB-log', /MariaDB .* is too old/],
    ])('refuses a server of version %s', async (version, told) => {
      await expect(serverThatSays({ version }).open(OPEN)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(told) as string,
      })
    })

    it.each(['8.0.17', '8.4.3', '9.1.0-commercial', '10.6.1-MariaDB', '11.4.2-MariaDB', '5.5.5-10.11.6-MariaDB'])(
      'takes a server of version %s',
      async (version) => {
        await expect(serverThatSays({ version }).open(OPEN)).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' })
      },
    )

    it('refuses connections that cannot send every text, and those without a database', async () => {
      await expect(serverThatSays({ client: 'latin1' }).open(OPEN)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('the character set latin1') as string,
      })
      await expect(serverThatSays({ name: null }).open(OPEN)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('no database selected') as string,
      })
    })

    /** A store whose server says something else of itself than it is. */
    function serverThatSays(what: Readonly<Record<string, unknown>>): Store<Tx> {
      const real = driverOn(poolOn())
      const query: Driver<Tx>['query'] = async (sql, params, tx) => {
        const result = await real.query(sql, params, tx)
        return sql.includes('@@max_allowed_packet') ? { ...result, rows: [{ ...result.rows[0], ...what }] } : result
      }
      const driver = new Proxy(real, {
        get(target, name) {
          if (name === 'query') return query
          const value: unknown = Reflect.get(target, name, target)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      })
      return mysql(driver, { tablePrefix: nextPrefix() })
    }
  })

  describe('making them', () => {
    it('goes on where a process died, after whichever statement', async () => {
      const prefix = nextPrefix()
      const store = storeOn({ tablePrefix: prefix })
      await store.open(OPEN).catch(() => undefined)
      const [first] = (await store.schema.status()).pending
      const statements = first!.sql.split(/;\n/).filter((one) => /^[^-\s]/m.test(one))
      expect(statements.length).toBeGreaterThan(13)
      for (let done = 1; done < statements.length; done++) {
        for (const statement of statements.slice(0, done)) await control.run(statement)
        expect(await store.schema.migrate()).toHaveLength(1)
        expect(await store.schema.status()).toMatchObject({ version: 1, pending: [], drift: [] })
        await dropTables(control, prefix)
      }
    })

    it('is done by another process when the one that does it is cut off', async () => {
      const prefix = nextPrefix()
      const [store, other] = [storeOn({ tablePrefix: prefix }), storeOn({ tablePrefix: prefix })]
      for (const one of [store, other]) await one.open(OPEN).catch(() => undefined)
      // As whoever has the lock and dies.
      const holder = await mysql2.createConnection({ ...home })
      await holder.query(
        `SELECT get_lock(concat('tandem ', left(sha2(concat(database(), ' ', ?), 256), 40)), 0) AS locked`,
        [prefix],
      )
      let isDone = false
      const migrating = other.schema.migrate().finally(() => (isDone = true))
      const waits = `SELECT 1 FROM information_schema.processlist WHERE db = database() AND state = 'User lock'`
      while ((await control.run(waits)).length === 0);
      expect(isDone).toBe(false)
      holder.destroy()
      expect(await migrating).toHaveLength(1)
      expect(await store.schema.migrate()).toEqual([])
    })

    it('may be a person’s: what is pending is printed whole', async () => {
      const prefix = nextPrefix()
      const store = storeOn({ tablePrefix: prefix })
      await store.open(OPEN).catch(() => undefined)
      const { pending } = await store.schema.status()
      await control.run(pending.map(({ sql }) => sql).join('\n'))
      await store.open(OPEN)
      expect(await store.schema.status()).toEqual({ version: 1, latest: 1, pending: [], drift: [] })
    })
  })

  describe('drift', () => {
    it('the list of objects is that of the migrations', async () => {
      const prefix = nextPrefix()
      await migrated(prefix)
      const found = (await control.run(catalogStatement, catalogParams(prefix))).map((row) =>
        objectRow(row, prefix, BYTES),
      )
      await expect(writeObjects(found)).toMatchFileSnapshot('../../sql/mysql/0001_tandem.objects.txt')
    })

    it.each([
      ['ALTER TABLE outbox_held DROP INDEX by_due', ['index outbox_held.by_due is missing']],
      ['DROP TABLE audit', ['table audit is missing']],
      ['ALTER TABLE inbox DROP COLUMN source', ['column inbox.source is missing']],
      ['ALTER TABLE inbox ADD COLUMN mine TEXT', ["column inbox.mine (text by bytes) is not one of Tandem's"]],
      [
        'ALTER TABLE half MODIFY `key` VARCHAR(255) NOT NULL',
        ['column half.key is "varchar(255) by bytes not null" and should be "varchar(255) by bytes"'],
      ],
      [
        'ALTER TABLE barrier MODIFY again BIGINT NOT NULL DEFAULT 1',
        ['column barrier.again is "bigint not null default 1" and should be "int not null default 0"'],
      ],
      ['ALTER TABLE outbox ADD INDEX mine (id)', ["index outbox.mine (btree (id)) is not one of Tandem's"]],
      [
        'ALTER TABLE half DROP INDEX by_decision, ADD UNIQUE INDEX by_decision (decided_at)',
        ['index half.by_decision is "unique btree (decided_at)" and should be "btree (decided_at)"'],
      ],
      ['ALTER TABLE audit ENGINE = MyISAM', ['table audit is "engine MyISAM" and should be "engine InnoDB"']],
      [
        'ALTER TABLE lease CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci',
        ['column lease.name is', 'column lease.owner is'],
      ],
      ['CREATE TRIGGER mine BEFORE UPDATE ON lease FOR EACH ROW SET NEW.token = 1', ['trigger mine (on lease)']],
      ['ALTER TABLE outbox ADD CONSTRAINT mine CHECK (shard < 99)', ['constraint outbox.mine (check)']],
      ["UPDATE schema_version SET checksum = 'x'", ['migration 1 (tandem) was applied with another text']],
    ])('%s is told', async (change, told) => {
      const prefix = nextPrefix()
      await migrated(prefix)
      await control.run(
        change
          .replace(/(TABLE|ON|UPDATE) (?!ON )(\w+)/, `$1 ${prefix}$2`)
          .replace('mine BEFORE', `${prefix}mine BEFORE`),
      )
      const store = storeOn({ tablePrefix: prefix })
      await store.open(OPEN)
      const { drift } = await store.schema.status()
      expect(drift).toEqual(told.map((text) => expect.stringContaining(text) as unknown as string))
    })

    it('is of these tables alone, not of those whose prefix begins alike', async () => {
      const prefix = nextPrefix()
      const store = await migrated(prefix)
      await migrated(`${prefix}more_`)
      await control.run(`CREATE TABLE ${prefix}orders (id INT PRIMARY KEY, note TEXT)`)
      expect((await store.schema.status()).drift).toEqual([])
    })
  })

  it('services in one database have a prefix each', async () => {
    const [one, two] = [await migrated(nextPrefix()), await migrated(nextPrefix())]
    await one.transaction((tx) => one.outbox.insert(tx, [outgoing('a')]))
    expect((await one.admin.overview()).outbox.unsent).toBe(1)
    expect((await two.admin.overview()).outbox.unsent).toBe(0)
  })

  it.each(['', 'Tandem_', 'x', '1_', 'a`_', `${'a'.repeat(32)}_`])('the prefix %j is refused', (tablePrefix) => {
    expect(() => storeOn({ tablePrefix })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error)
  })

  it.each(['+00:00', '+09:00', 'SYSTEM'])(
    "takes its time from the server's clock, in a session of time zone %s",
    async (zone) => {
      const pool = poolOn()
      pool.on('connection', (connection) => {
        void connection.query(`SET time_zone = '${zone}'`)
      })
      const store = mysql(driverOn(pool), { tablePrefix: nextPrefix(), migrate: true })
      await store.open(OPEN)
      const before = Date.now()
      const { now } = await store.admin.overview()
      expect(now).toBeGreaterThanOrEqual(before - 1)
      expect(now).toBeLessThanOrEqual(Date.now() + 1)
    },
  )

  it('works in a session that cuts what is too long, and reads signs in other ways', async () => {
    const pool = poolOn()
    pool.on('connection', (connection) => {
      void connection.query(`SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION'`)
    })
    const store = mysql(driverOn(pool), { tablePrefix: nextPrefix(), migrate: true })
    await store.open(OPEN)
    const odd = 'a\\\'"`\0\n%_'
    await store.transaction((tx) => store.outbox.insert(tx, [outgoing('a', { headers: { note: odd } })]))
    const [found] = await store.admin.trace('none')
    expect(found).toBeUndefined()
    expect((await store.schema.status()).drift).toEqual([])
  })
})
