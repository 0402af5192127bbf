// The store as a role whose settings are as unkind as they can be: those that decide how values are written, what names mean, and how long
// anything may take. And what it says when the role may only read.
import pg from 'pg'
import postgresjs from 'postgres'
import { describe, expect, it } from 'vitest'
import { register, storeConformance } from '../../src/conformance/index.ts'
import { outgoing } from '../../src/conformance/store-kit.ts'
import { pg as pgDriver } from '../../src/drivers/pg.ts'
import { postgresJs } from '../../src/drivers/postgres-js.ts'
import { postgres } from '../../src/stores/postgres/index.ts'
import { makeFixture, nextSchema, storeDatabases } from './store-fixture.ts'

const SETTINGS = {
  statement_timeout: '10s',
  idle_in_transaction_session_timeout: '10s',
  lock_timeout: '5s',
  // What is found by its bare name there is not what it seems to be.
  search_path: 'nowhere, traps',
  standard_conforming_strings: 'off',
  datestyle: 'SQL, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'America/St_Johns',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  client_encoding: 'LATIN1',
  synchronous_commit: 'off',
}

const databases = await storeDatabases()

if (databases !== undefined) {
  const { control, home } = databases
  // It stays: what it owns goes with the databases, later than this file can wait for.
  const role = `hostile_${Math.random().toString(36).slice(2)}`
  await control.run(`CREATE ROLE ${role} LOGIN SUPERUSER`)
  for (const [name, value] of Object.entries(SETTINGS)) {
    const to = name === 'search_path' ? value : `'${value}'`
    await control.run(`ALTER ROLE ${role} SET ${name} = ${to}`)
  }
  const traps = new pg.Client(home)
  await traps.connect()
  await traps.query('CREATE SCHEMA traps')
  for (const table of ['outbox', 'inbox', 'half', 'lease', 'schema_version', 'process']) {
    await traps.query(`CREATE TABLE traps.${table} (trap int)`)
  }
  await traps.end()
  const suite = { capabilities: { concurrentTransactions: true, shards: 16 }, siblings: true }
  register(
    [
      ...storeConformance({
        ...suite,
        name: 'pg, hostile settings',
        make: () =>
          makeFixture(databases, (address) => {
            const pool = new pg.Pool({ ...address, user: role, max: 5 })
            return { driver: pgDriver(pool), end: () => pool.end() }
          }),
      }),
      ...storeConformance({
        ...suite,
        name: 'postgres.js, hostile settings',
        make: () =>
          makeFixture(databases, (address) => {
            const sql = postgresjs({ ...address, user: role, max: 5, onnotice: () => undefined })
            return { driver: postgresJs(sql), end: () => sql.end() }
          }),
        // What the library reads and writes by itself is the same everywhere.
      }).filter(({ area }) => /outbox|administration/.test(area)),
    ],
    { describe, it },
  )

  describe('a role that may only read', () => {
    it('is told so, with what to look at, and goes on when it may write again', async () => {
      const schema = nextSchema()
      const owner = new pg.Pool({ ...home, max: 2 })
      await postgres(pgDriver(owner), { schema, migrate: true }).open({ service: 'test' })
      const pool = new pg.Pool({ ...home, max: 1, options: '-c default_transaction_read_only=on' })
      const store = postgres(pgDriver(pool), { schema })
      await store.open({ service: 'test' })
      const send = (): Promise<void> => store.transaction((tx) => store.outbox.insert(tx, [outgoing('a')]))
      for (const write of [send, () => store.inbox.expire(1, 1)]) {
        await expect(write()).rejects.toMatchObject({
          code: 'STORE_UNAVAILABLE',
          retryable: true,
          message: expect.stringMatching(/standby.*default_transaction_read_only.*primary/) as string,
        })
      }
      await pool.query('SET default_transaction_read_only = off')
      await send()
      expect((await store.admin.overview()).outbox.unsent).toBe(1)
      await Promise.all([pool.end(), owner.end()])
    })
  })
} else describe.skip('hostile settings', () => it('needs PostgreSQL', () => undefined))
