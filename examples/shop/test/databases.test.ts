import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findMariadb } from '../../../scripts/servers/mariadb-binaries.ts'
import { MariadbServer } from '../../../scripts/servers/mariadb.ts'
import { findPostgres } from '../../../scripts/servers/postgres-binaries.ts'
import { PostgresServer } from '../../../scripts/servers/postgres.ts'
import { runDemo, type DemoRun } from './run-demo.ts'

const folder = mkdtempSync(join(tmpdir(), 'tandem-shop-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const hasPostgres = findPostgres() !== undefined
const hasMariadb = findMariadb() !== undefined

describe('the demo ends with balanced books although the servers are killed, too', () => {
  const all = (database: string): Promise<DemoRun> =>
    runDemo('--database', database, '--orders', '60', '--faults', 'all', '--seed', '1')

  it.skipIf(!hasPostgres)('on PostgreSQL', async () => {
    const { code, output } = await all('postgres')

    expect(output).toContain('PostgreSQL killed with SIGKILL; it was away for')
    expect(output).toContain('The books balance.')
    expect(code).toBe(0)
  })

  it.skipIf(!hasMariadb)('on MariaDB', async () => {
    const { code, output } = await all('mysql')

    expect(output).toContain('MariaDB killed with SIGKILL; it was away for')
    expect(output).toContain('The books balance.')
    expect(code).toBe(0)
  })

  it.skipIf(!hasPostgres || !hasMariadb)('on PostgreSQL, MariaDB and SQLite at once', async () => {
    const { code, output } = await all('mixed')

    expect(output).toContain('PostgreSQL killed with SIGKILL; it was away for')
    expect(output).toContain('MariaDB killed with SIGKILL; it was away for')
    expect(output).toContain('The books balance.')
    expect(code).toBe(0)
  })
})

describe.skipIf(!hasPostgres)('the demo on PostgreSQL', () => {
  it('leaves its server running with --keep, and says how to look into it and how to end it', async () => {
    const data = join(folder, 'three')
    const options = ['--database', 'postgres', '--orders', '5', '--faults', 'none']
    const { output } = await runDemo(...options, '--keep', '--data', data)
    const [, pid, files] = /kill (\d+); rm -rf (\S+)/.exec(output) ?? []
    try {
      const [, url, sql] = /psql '(\S+)' -c "(SELECT state.*orders.*)"/.exec(output) ?? []
      const client = new pg.Client(url)
      await client.connect()
      const { rows } = await client.query<{ state: string; count: string }>(sql!)
      await client.end()
      expect(rows.reduce((sum, { count }) => sum + Number(count), 0)).toBe(5)
    } finally {
      process.kill(Number(pid), 'SIGKILL')
      rmSync(files!, { recursive: true, force: true, maxRetries: 10 })
    }
  })

  describe('on a server that is there', () => {
    let server: PostgresServer
    beforeAll(async () => {
      server = await PostgresServer.start()
    })
    afterAll(() => server.dispose())

    async function databases(): Promise<readonly string[]> {
      const client = new pg.Client(server.address())
      await client.connect()
      const { rows } = await client.query<{ datname: string }>(
        `SELECT datname FROM pg_database WHERE datname LIKE 'shop%' ORDER BY datname`,
      )
      await client.end()
      return rows.map(({ datname }) => datname)
    }

    it('makes its databases, never kills it, and removes them, but refuses those that are there', async () => {
      const options = ['--database', 'postgres', '--postgres', `postgres://postgres@127.0.0.1:${server.port}/postgres`]
      const first = await runDemo(...options, '--orders', '20', '--faults', 'all', '--seed', '3')
      expect(first.output).toContain('The books balance.')
      expect(first.output).not.toContain('PostgreSQL killed')
      expect(await databases()).toEqual([])

      const kept = await runDemo(
        ...options,
        '--orders',
        '5',
        '--faults',
        'none',
        '--keep',
        '--data',
        join(folder, 'one'),
      )
      expect(kept.code).toBe(0)
      expect(await databases()).toEqual(['shop_order', 'shop_payment', 'shop_stock'])

      const again = await runDemo(...options, '--orders', '5', '--faults', 'none')
      expect(again.output).toContain('--postgres: there is a database shop_order already')
      expect(again.code).toBe(2)
      expect(await databases()).toEqual(['shop_order', 'shop_payment', 'shop_stock'])
    })
  })
})

describe.skipIf(!hasMariadb)('the demo on a MariaDB that is there', () => {
  let server: MariadbServer
  beforeAll(async () => {
    server = await MariadbServer.start()
  })
  afterAll(() => server.dispose())

  it('makes its databases, and removes them, but refuses those that are there', async () => {
    const url = `mysql://root@127.0.0.1:${server.port}/mysql`
    const databases = async (): Promise<readonly string[]> => {
      const connection = await createConnection(url)
      const [rows] = await connection.query<RowDataPacket[]>(`SHOW DATABASES LIKE 'shop%'`)
      await connection.end()
      return rows.map((row) => String(Object.values(row)[0])).toSorted()
    }
    const options = ['--database', 'mysql', '--mysql', url, '--orders', '5', '--faults', 'none']
    const first = await runDemo(...options)
    expect(first.output).toContain('The books balance.')
    expect(await databases()).toEqual([])

    const kept = await runDemo(...options, '--keep', '--data', join(folder, 'two'))
    expect(kept.output).toContain(`mariadb -h 127.0.0.1 -P ${server.port} -u root shop_stock -e "SELECT * FROM stock"`)
    expect(await databases()).toEqual(['shop_order', 'shop_payment', 'shop_stock'])

    const again = await runDemo(...options)
    expect(again.output).toContain('--mysql: there is a database shop_order already')
    expect(again.code).toBe(2)
  })
})
