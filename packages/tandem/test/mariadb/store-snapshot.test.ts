// What the relay's looks cost while a snapshot keeps what was deleted from being purged. On a server of its own, which nobody else makes read.
import mysql2 from 'mysql2/promise'
import { afterAll, describe, expect, it } from 'vitest'
import { ids, outgoing } from '../../src/conformance/store-kit.ts'
import { hasMariadb } from '../support/mariadb.ts'
import { MariadbServer } from '../support/mariadb-server.ts'
import { benches, type Bench } from './store-bench.ts'
import type { Control } from './store-fixture.ts'

describe.skipIf(!hasMariadb)('the outbox on MySQL, with an old snapshot', () => {
  const ends: (() => Promise<void>)[] = []
  afterAll(async () => {
    for (const end of ends) await end()
  })

  async function newBench(): Promise<Bench> {
    const server = await MariadbServer.start()
    const pool = mysql2.createPool(server.address('mysql', 'socket'))
    await pool.query('CREATE DATABASE test')
    const home = server.address('test', 'socket')
    const own = mysql2.createPool(home)
    const run: Control['run'] = async (sql, params = []) => {
      const [rows] = await own.query(sql, [...params])
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
    }
    ends.push(async () => {
      await Promise.all([pool.end(), own.end()])
      await server.dispose()
    })
    return benches({ control: { run }, home, away: home })()
  }

  it('costs no more than a look at an empty table, when what was seen has settled', async () => {
    const { prefix, store, fences, client: newClient, spy, run } = await newBench()
    const relay = async (limit: number): Promise<readonly string[]> => {
      const messages = await store.outbox.read(fences, limit)
      await store.outbox.remove(fences, messages)
      return ids(messages)
    }
    /** Pages that the last look reads. */
    const pagesOfLook = async (): Promise<number> => {
      const pages = async (): Promise<number> =>
        Number((await run(`SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_read_requests'`))[0]?.['Value'])
      const last = spy.statements.findLastIndex((one) => one.includes('place.position'))
      const before = await pages()
      await run(spy.statements[last]!, spy.params[last])
      return (await pages()) - before
    }
    const row = `INSERT INTO ${prefix}outbox (shard, written_at, id, topic, \`key\`, type, headers, body)`
    await relay(10)
    const empty = await pagesOfLook()
    const [old, late] = [await newClient(), await newClient()]
    try {
      await old.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      await late.query('BEGIN')
      await late.query(`${row} VALUES (0, now(), 'late', 't', 'k', 't', '{}', '')`)
      await run(`${row} SELECT slot & 15, now(), slot, 't', slot, 't', '{}', repeat('x', 300) FROM ${prefix}turn`)
      for (let rounds = 0; (await relay(5000)).length > 0; rounds++) expect(rounds).toBeLessThan(10)
      const first = await pagesOfLook()
      expect(first).toBeGreaterThan(empty + 300)
      // The time in which the server answers goes on.
      const began = performance.now()
      while ((await pagesOfLook()) > empty + 100) {
        expect(performance.now() - began).toBeLessThan(20_000)
        await store.transaction((tx) => store.outbox.insert(tx, [outgoing('a')]))
        await relay(100)
      }
      await late.query('COMMIT')
      expect(await relay(100)).toEqual(['late'])
    } finally {
      for (const one of [old, late]) {
        await one.query('ROLLBACK')
        one.release()
      }
    }
  })
})
