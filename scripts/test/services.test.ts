import { createServer } from 'node:net'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { freePort } from '../servers/free-port.ts'
import { postgres } from '../services/postgres.ts'
import type { Service } from '../services/service.ts'
import { SERVICES, Services } from '../services/services.ts'
import { State } from '../services/state.ts'

const folder = mkdtempSync(join(tmpdir(), 'tandem-services-test-'))
const state = new State(folder)
const ports = new Map<string, number>()
for (const { name } of SERVICES) ports.set(name, await freePort())
/** What another process would have: it knows the folder, and nothing else. */
const fresh = (): Services => new Services(new State(folder), ({ name }) => ports.get(name)!)

afterEach(async () => {
  for (const service of SERVICES.toReversed()) await fresh().down(service)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const isHere = (service: Service): boolean => service.missing() === undefined

describe.each(SERVICES)('npm run services -- … $name', (service) => {
  const test = it.skipIf(!isHere(service))

  test('starts it once, and finds it again', async () => {
    const url = await fresh().up(service)
    const first = fresh().status(service)

    expect(first?.url).toBe(url)
    expect(await fresh().up(service)).toBe(url)
    expect(fresh().status(service)).toEqual(first)
  })

  test('ends it and removes its data, also twice', async () => {
    await fresh().up(service)

    expect(await fresh().down(service)).toBe(true)
    expect(existsSync(state.data(service.name))).toBe(false)
    expect(fresh().status(service)).toBeUndefined()
    expect(await fresh().down(service)).toBe(false)
  })

  test('kills it, and starts it again', async () => {
    const url = await fresh().up(service)

    expect(await fresh().kill(service)).toBe(true)
    expect(fresh().status(service)).toBeUndefined()
    expect(await fresh().kill(service)).toBe(false)
    expect(await fresh().up(service)).toBe(url)
  })
})

describe('npm run services', () => {
  it.each(SERVICES)('has $name on the same port as compose.yaml', ({ name, port }) => {
    const compose = readFileSync(new URL('../../compose.yaml', import.meta.url), 'utf8')
    const [, own = ''] = compose.split(`\n  ${name}:\n`)

    expect(/ports: \['127\.0\.0\.1:(\d+):/.exec(own)?.[1]).toBe(`${port}`)
  })

  it.skipIf(!isHere(postgres))('keeps what was written before a kill', async () => {
    const run = async (sql: string) => {
      const client = new pg.Client(await fresh().up(postgres))
      client.on('error', () => undefined)
      await client.connect()
      const { rows } = await client.query<Record<string, unknown>>(sql)
      await client.end()
      return rows
    }
    await run('CREATE TABLE kept AS SELECT 7 AS it')
    await fresh().kill(postgres)

    expect(await run('SELECT it FROM kept')).toEqual([{ it: 7 }])
  })

  it.skipIf(!isHere(postgres))('does not take the port of another program', async () => {
    const other = createServer().listen(ports.get('postgres'), '127.0.0.1')
    await once(other, 'listening')
    try {
      await expect(fresh().up(postgres)).rejects.toThrow('another program is listening')
    } finally {
      other.close()
    }
  })

  it('says in words what is missing, and starts nothing', async () => {
    const missing: Service = { ...postgres, name: 'other', missing: () => 'Other: not installed' }

    await expect(fresh().up(missing)).rejects.toThrow('Other: not installed')
    expect(existsSync(state.data('other'))).toBe(false)
  })
})
