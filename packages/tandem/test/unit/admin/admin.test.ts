// The services of an administration: settings, opening, migrations, status.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAdmin, defineConfig, readConfig, type AdminBroker, type AdminOptions } from '../../../src/admin/index.ts'
import { sqlite as sqliteBroker } from '../../../src/brokers/sqlite/index.ts'
import { nodeSqlite } from '../../../src/drivers/node-sqlite.ts'
import { dead, handled, held, id, NOW, prepared, storeAt, undecided, unsent } from './world.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-admin-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)

describe('settings', () => {
  const store = storeAt(':memory:')

  test.each([
    ['nothing', undefined, 'CONFIG_INVALID'],
    ['no store', { service: 'order' }, 'CONFIG_INVALID'],
    ['a store that is none', { service: 'order', store: { open: 1 } }, 'CONFIG_INVALID'],
    ['a broker that is none', { service: 'order', store, broker: {} }, 'CONFIG_INVALID'],
    ['no name', { store }, 'NAME_INVALID'],
    ['a name with a space', { service: 'my order', store }, 'NAME_INVALID'],
    ['a misspelt option', { service: 'order', store, brokers: [] }, 'OPTION_UNKNOWN'],
    ['no services', { stores: [] }, 'CONFIG_INVALID'],
    ['services that are no list', { stores: { service: 'order', store } }, 'CONFIG_INVALID'],
    [
      'one name twice',
      {
        stores: [
          { service: 'order', store },
          { service: 'order', store },
        ],
      },
      'CONFIG_INVALID',
    ],
  ])('%s is refused', (_, options, code) => {
    expect(() => createAdmin(options as AdminOptions)).toThrow(expect.objectContaining({ code }))
  })

  test('a configuration is a service, several, or a function of either', async () => {
    const one = { service: 'order', store }
    const names = async (config: unknown): Promise<string[]> =>
      (await readConfig(config, 'tandem.config.ts')).map(({ service }) => service)
    expect(await names(defineConfig(one))).toEqual(['order'])
    expect(await names(defineConfig([one, { service: 'stock', store }]))).toEqual(['order', 'stock'])
    expect(await names(defineConfig(() => Promise.resolve([one])))).toEqual(['order'])
  })

  test.each([
    ['a text', 'order'],
    ['nothing', undefined],
    ['a function of nothing', () => undefined],
    ['an empty list', []],
    ['a list with something else', [{ service: 'order', store }, 1]],
  ])('%s is none', async (_, config) => {
    await expect(readConfig(config, '/app/tandem.config.ts')).rejects.toThrow(/^\/app\/tandem\.config\.ts/)
  })
})

describe('schema', () => {
  test('is told, applied, and found applied', async () => {
    const admin = createAdmin({ service: 'order', store: storeAt(at('order.db')) })
    const [before] = await admin.schema.status()
    expect(before).toMatchObject({ service: 'order', version: 0, drift: [] })
    expect(before!.pending.length).toBe(before!.latest)
    const [done] = await admin.schema.migrate()
    expect(done!.applied).toEqual(before!.pending.map(({ version, name }) => ({ version, name })))
    expect(done).toMatchObject({ version: before!.latest, pending: [] })
    expect((await admin.schema.migrate())[0]!.applied).toEqual([])
    await admin.close()
  })

  test('is left alone by everything else, even where the store was told to migrate', async () => {
    const admin = createAdmin({ service: 'order', store: storeAt(at('order.db'), { migrate: true }) })
    await admin.schema.status()
    await expect(admin.deadLetters.list()).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' })
    expect(await admin.status()).toMatchObject([
      { schema: { version: 0 }, overview: null, problem: { code: 'SCHEMA_OUTDATED' } },
    ])
    // The same administration goes on once somebody has migrated.
    await admin.schema.migrate()
    expect((await admin.deadLetters.list()).items).toEqual([])
    await admin.close()
  })
})

describe('status', () => {
  test('counts what is not finished', async () => {
    const store = storeAt(at('order.db'))
    const broker = sqliteBroker(nodeSqlite(at('broker.db')))
    await broker.open({ service: 'order' })
    const admin = createAdmin({ service: 'order', store, broker })
    await admin.schema.migrate()
    await unsent(store, { id: id(1) })
    await held(store, { id: id(2) }, 'unsendable')
    await undecided(store, { id: id(3) })
    await prepared(store, { id: id(4) })
    await handled(store, 'order', { id: id(5) })
    await dead(store, 'order', { id: id(6), key: 'k' }, { ordered: true })
    const [status] = await admin.status()
    expect(JSON.parse(JSON.stringify(status))).toEqual(status)
    expect(status).toMatchObject({
      service: 'order',
      store: 'sqlite on node-sqlite',
      schema: { drift: [] },
      broker: { name: 'sqlite', ok: true },
      problem: null,
      overview: {
        now: new Date(NOW).toISOString(),
        outbox: { unsent: 1, oldestAge: 0, held: { delayed: 0, waiting: 0, behind: 0, unsendable: 1 } },
        half: { prepared: 1, undecided: 1, committed: 0, 'rolled-back': 0 },
        inbox: [{ group: 'order', states: { handled: 1, retrying: 0, blocked: 0, dead: 1, discarded: 0 } }],
        blockedKeys: 1,
      },
    })
    await admin.close()
  })

  test('tells of what does not answer, and still of the others', async () => {
    const well = storeAt(at('well.db'), { migrate: true })
    await well.open({ service: 'well' })
    const broker: AdminBroker = {
      name: 'queue',
      open: () => Promise.reject(new Error('connection refused')),
      close: () => Promise.resolve(),
      health: () => Promise.resolve({ ok: true, detail: '' }),
    }
    const admin = createAdmin({
      stores: [
        { service: 'ill', store: storeAt(at('no-such-folder/ill.db')) },
        { service: 'well', store: well, broker },
      ],
    })
    const [first, second] = await admin.status()
    expect(first).toMatchObject({
      service: 'ill',
      schema: null,
      overview: null,
      problem: { code: 'STORE_UNAVAILABLE' },
    })
    expect(second).toMatchObject({ problem: null, broker: { ok: false, detail: 'Error: connection refused' } })
    expect(second!.overview).not.toBeNull()
    await admin.close()
  })
})

test('close ends what was opened here, and no more', async () => {
  const calls: string[] = []
  const spied = (name: string): AdminOptions => {
    const store = storeAt(at(`${name}.db`), { migrate: true })
    return {
      service: name,
      store: Object.create(store, { close: { value: () => void calls.push(name) } }) as typeof store,
    }
  }
  const admin = createAdmin({ stores: [spied('used'), spied('unused')] as never })
  await admin.schema.migrate('used')
  await admin.close()
  await admin.close()
  expect(calls).toEqual(['used'])
})
