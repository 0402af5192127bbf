// Migrations while the tables are in use, and packages and tables of different age. The second migration is of this test.
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import { sqlFolder } from '../../src/stores/shared/migrations.ts'
import { createContext, POSTGRES_CLOCK } from '../../src/stores/postgres/context.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { schemaSteps, type PostgresSchema } from '../../src/stores/postgres/schema.ts'
import type { Patience } from '../../src/stores/postgres/schema-apply.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const FIRST = '0001_tandem'
const SECOND = 'ALTER TABLE tandem.audit ADD COLUMN more text;\n'
const THIRD = 'ALTER TABLE tandem.audit ADD COLUMN still_more text;\n'
const PATIENCE: Patience = { lock: 50, pause: 20, tables: 20_000, turn: 20_000 }

describe.skipIf(databases === undefined)('migrations of the PostgreSQL store', () => {
  const { control, home } = databases!
  const pools: pg.Pool[] = []
  const folders = { first: '', second: '', third: '', breaking: '' }

  beforeAll(async () => {
    for (const name of Object.keys(folders) as (keyof typeof folders)[]) {
      const folder = await mkdtemp(join(tmpdir(), 'tandem-migrations-'))
      folders[name] = folder
      for (const file of [`${FIRST}.sql`, `${FIRST}.objects.txt`]) {
        await copyFile(new URL(file, sqlFolder('postgres')), join(folder, file))
      }
      const objects = await readFile(join(folder, `${FIRST}.objects.txt`), 'utf8')
      const second = `${objects}audit | column audit.more | text\n`
      if (name === 'first') continue
      await writeFile(join(folder, '0002_more.sql'), name === 'breaking' ? `-- breaking: yes\n${SECOND}` : SECOND)
      await writeFile(join(folder, '0002_more.objects.txt'), second)
      if (name !== 'third') continue
      await writeFile(join(folder, '0003_still_more.sql'), THIRD)
      await writeFile(join(folder, '0003_still_more.objects.txt'), `${second}audit | column audit.still_more | text\n`)
    }
  })
  afterEach(async () => {
    await Promise.all(pools.splice(0).map((pool) => pool.end()))
  })
  afterAll(async () => {
    for (const folder of Object.values(folders)) await rm(folder, { recursive: true })
  })

  /** A package that knows the migrations of a folder. */
  function packageWith(
    folder: keyof typeof folders,
    schema: string,
    options: pg.PoolConfig = {},
    patience: Patience = PATIENCE,
  ): PostgresSchema {
    const pool = new pg.Pool({ ...home, max: 2, ...options })
    pools.push(pool)
    const driver = pgDriver(pool)
    const context = createContext(driver, schema, POSTGRES_CLOCK)
    const steps = schemaSteps(context, { folder: pathToFileURL(`${folders[folder]}/`), patience })
    const opened = driver.open({ service: 'test' })
    return {
      status: () => opened.then(() => steps.status()),
      migrate: (how) => opened.then(() => steps.migrate(how)),
      check: () => opened.then(() => steps.check()),
    }
  }

  const versions = async (schema: string): Promise<unknown[]> =>
    (await control.run(`SELECT version FROM ${schema}.schema_version ORDER BY version`)).map((row) => row['version'])

  it('come to the version that is asked for, and the drift check knows each', async () => {
    const schema = nextSchema()
    const three = packageWith('third', schema)
    const applied = [
      await three.migrate({ to: 1 }),
      await three.migrate({ to: 1 }),
      await three.migrate({ to: 2 }),
      await three.migrate(),
    ]
    expect(applied.map((list) => list.map(({ version }) => version))).toEqual([[1], [], [2], [3]])
    expect(await three.status()).toMatchObject({ version: 3, pending: [], drift: [] })
    await expect(three.migrate({ to: 2 })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/are of version 3.*only go forward.*no way back to 2.*backup/) as string,
    })
    await expect(three.migrate({ to: 4 })).rejects.toMatchObject({
      message: expect.stringMatching(/no migration 4.*1 to 3/) as string,
    })
    expect(await versions(schema)).toEqual([1, 2, 3])
  })

  it('of ten processes at once each is applied by one', async () => {
    const schema = nextSchema()
    const ten = Array.from({ length: 10 }, () => packageWith('third', schema))
    const applied = await Promise.all(ten.map((one) => one.migrate()))
    expect(applied.flat().map(({ version }) => version)).toEqual(expect.arrayContaining([1, 2, 3]))
    expect(applied.flat()).toHaveLength(3)
    expect(await versions(schema)).toEqual([1, 2, 3])
  })

  it('wait for nobody as long as others wait for them: a reader that comes later is served', async () => {
    const schema = nextSchema()
    await packageWith('first', schema).migrate()
    const pool = new pg.Pool({ ...home, max: 3 })
    pools.push(pool)
    const holder = await pool.connect()
    await holder.query('BEGIN')
    await holder.query(`SELECT 1 FROM ${schema}.audit`)

    const migrated = packageWith('second', schema, { application_name: `${schema}_migrate` }).migrate()
    // Others read while it asks for its lock again and again. Behind a lock that is waited for in earnest, none of them would come through.
    for (let asked = 0; asked < 3;) {
      const waits = `SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`
      if ((await control.run(waits, [`${schema}_migrate`])).length === 0) continue
      asked += 1
      await pool.query(`SELECT 1 FROM ${schema}.audit`)
    }
    expect(await versions(schema)).toEqual([1])

    await holder.query('COMMIT')
    holder.release()
    expect((await migrated).map(({ version }) => version)).toEqual([2])
    expect(await packageWith('second', schema).status()).toMatchObject({ version: 2, drift: [] })
  })

  it('give up in the end, change nothing, and name who uses the tables', async () => {
    const schema = nextSchema()
    await packageWith('first', schema).migrate()
    const holder = new pg.Client({ ...home, application_name: 'nightly report' })
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query(`SELECT 1 FROM ${schema}.audit`)
    await expect(packageWith('third', schema, {}, { ...PATIENCE, tables: 100 }).migrate()).rejects.toMatchObject({
      code: 'STORE_BUSY',
      retryable: true,
      message: expect.stringMatching(
        /migration 2 \(more\) was not applied.*by process \d+ of nightly report, idle in transaction, in a transaction for \d+ s/,
      ) as string,
    })
    await holder.query('COMMIT')
    await holder.end()
    expect(await packageWith('third', schema).migrate()).toHaveLength(2)
  })

  it('tell that another process has been at it for too long', async () => {
    const schema = nextSchema()
    await packageWith('first', schema).migrate()
    const other = new pg.Client(home)
    await other.connect()
    await other.query('BEGIN')
    await other.query(`SELECT pg_advisory_xact_lock(hashtextextended('tandem ${schema} migrations', 0))`)
    await expect(packageWith('second', schema, {}, { ...PATIENCE, turn: 100 }).migrate()).rejects.toMatchObject({
      code: 'STORE_BUSY',
      message: expect.stringContaining(`another process has been migrating schema ${schema}`) as string,
    })
    await other.end()
    expect(await packageWith('second', schema).migrate()).toHaveLength(1)
  })

  it('are not ended by the time-outs of the role, which say nothing about migrations', async () => {
    const schema = nextSchema()
    const options = '-c statement_timeout=250 -c idle_in_transaction_session_timeout=250 -c lock_timeout=1'
    const slow = `${folders.third}/0004_slow.sql`
    await writeFile(slow, 'SELECT pg_sleep(0.4);\n')
    try {
      expect(await packageWith('third', schema, { options }).migrate()).toHaveLength(4)
    } finally {
      await rm(slow)
    }
  })

  it('refuse a role that may not, and say who may', async () => {
    const schema = nextSchema()
    await packageWith('first', schema).migrate()
    await control.run(`CREATE ROLE ${schema}_service LOGIN`)
    await control.run(`GRANT USAGE ON SCHEMA ${schema} TO ${schema}_service`)
    await control.run(`GRANT SELECT ON ${schema}.schema_version TO ${schema}_service`)
    const refused = { code: 'CONFIG_INVALID', message: expect.stringMatching(/Migrate as a role that owns/) as string }
    const user = `${schema}_service`
    await expect(packageWith('second', schema, { user }).migrate()).rejects.toMatchObject(refused)
    await expect(packageWith('second', `${schema}_other`, { user }).migrate()).rejects.toMatchObject(refused)
    await control.run(`DROP OWNED BY ${user}`)
    await control.run(`DROP ROLE ${user}`)
  })

  describe('packages and tables of different age', () => {
    it('a new package refuses old tables, says so, and migrates them', async () => {
      const schema = nextSchema()
      await packageWith('first', schema).migrate()
      const next = packageWith('second', schema)
      await expect(next.check()).rejects.toMatchObject({
        code: 'SCHEMA_OUTDATED',
        message: expect.stringMatching(/are of version 1; this package needs version 2.*tandem migrate/) as string,
      })
      expect(await next.status()).toMatchObject({ version: 1, latest: 2, pending: [{ version: 2 }], drift: [] })
      await next.migrate()
      await next.check()
    })

    it('an old package goes on with new tables, and with those that break it says so', async () => {
      const schema = nextSchema()
      await packageWith('second', schema).migrate()
      const pool = new pg.Pool({ ...home, max: 2 })
      pools.push(pool)
      const old = postgres(pgDriver(pool), { schema, migrate: true })
      await old.open({ service: 'test' })
      await old.admin.audit({ by: 'kim' }, 'test', 'x')
      expect(await old.schema.status()).toMatchObject({ version: 2, latest: 1, pending: [], drift: [] })
      await expect(old.schema.migrate({ to: 1 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })

      const broken = nextSchema()
      await packageWith('breaking', broken).migrate()
      await expect(packageWith('first', broken).check()).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' })
    })
  })
})
