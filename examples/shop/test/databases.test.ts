import { rmSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findPostgres } from '../../../scripts/servers/postgres-binaries.ts'
import { PostgresServer } from '../../../scripts/servers/postgres.ts'
import { runDemo } from './run-demo.ts'

describe.skipIf(findPostgres() === undefined)('the demo on PostgreSQL', () => {
  it('ends with balanced books although the server is killed, too', async () => {
    const options = ['--database', 'postgres', '--orders', '60', '--faults', 'all', '--seed', '1']
    const { code, output } = await runDemo(...options)

    expect(output).toContain('PostgreSQL killed with SIGKILL; it was away for')
    expect(output).toContain('replayed 3 dead letters')
    expect(output).toContain('The books balance.')
    expect(code).toBe(0)
  })

  it('leaves its server running with --keep, and says how to look into it and how to end it', async () => {
    const { output } = await runDemo('--database', 'postgres', '--orders', '5', '--faults', 'none', '--keep')
    const [, pid, folder] = /kill (\d+); rm -rf (\S+)/.exec(output) ?? []
    const [, data] = /The files are in (\S+)\. /.exec(output) ?? []
    try {
      const [, url, sql] = /psql '(\S+)' -c "(SELECT state.*orders.*)"/.exec(output) ?? []
      const client = new pg.Client(url)
      await client.connect()
      const { rows } = await client.query<{ state: string; count: string }>(sql!)
      await client.end()
      expect(rows.reduce((sum, { count }) => sum + Number(count), 0)).toBe(5)
    } finally {
      process.kill(Number(pid), 'SIGKILL')
      for (const path of [folder, data]) rmSync(path!, { recursive: true, force: true, maxRetries: 10 })
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

      const kept = await runDemo(...options, '--orders', '5', '--faults', 'none', '--keep')
      expect(kept.code).toBe(0)
      expect(await databases()).toEqual(['shop_order', 'shop_payment', 'shop_stock'])

      const again = await runDemo(...options, '--orders', '5', '--faults', 'none')
      expect(again.output).toContain('--postgres: there is a database shop_order already')
      expect(again.code).toBe(2)
      expect(await databases()).toEqual(['shop_order', 'shop_payment', 'shop_stock'])
    })
  })
})
