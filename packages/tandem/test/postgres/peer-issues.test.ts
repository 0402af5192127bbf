// What users of other libraries have met with on PostgreSQL, tried here. Each case names the symptom, in our words, and where it was told.
// Tried elsewhere: rows skipped that commit late (watermill#311: store-outbox), tables owned by another role (graphile/worker#132:
// store-schema), migrations that wait for a lock with everybody behind them (graphile/migrate#190: store-migrations), an old snapshot that
// slows the relay down (riverqueue/river#59: store-outbox), a replay that is clicked twice (ServiceControl#4797: the store suite).
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { FAILED, incoming, outgoing, RETRY_NOW } from '../../src/conformance/store-kit.ts'
import { message } from '../../src/index.ts'
import { CONNECT, serviceOn, type RunningService } from './engine-fixture.ts'
import { benches } from './store-bench.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const Placed = message<{ n: number }>('placed')
const DAY = 86_400_000

interface Node {
  readonly 'Index Name'?: string
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly Node[]
}

describe.skipIf(databases === undefined)('an issue of a peer', () => {
  const { control, home } = databases!
  const newBench = benches(databases!)
  const running: RunningService[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.end()
  })

  const deadlocks = async (): Promise<number> => {
    const [row] = await control.run(
      'SELECT deadlocks::int AS n FROM pg_stat_database WHERE datname = current_database()',
    )
    return Number(row?.['n'])
  }
  const finished = (schema: string, count: number): Promise<unknown> =>
    control.run(`INSERT INTO ${schema}.inbox (at, sent_at, group_name, message_id, state, type, topic, source, correlation_id)
      SELECT now() - interval '2 days', now(), 'g', 'old ' || n, 'handled', 't', 't', 's', 'c' FROM generate_series(1, ${count}) n`)

  // https://github.com/timgit/pg-boss/issues/282, https://github.com/timgit/pg-boss/issues/133, NServiceBus.Persistence.Sql#778
  it('the clean-ups of several processes wait for each other in a ring, and for those who work', async () => {
    const bench = await newBench()
    const stores = [bench.store, await bench.another(), await bench.another()]
    await finished(bench.schema, 3000)
    const before = await deadlocks()
    let left = true
    const cleanUp = async (store: (typeof stores)[number]): Promise<number> => {
      let total = 0
      for (;;) {
        const gone = await store.inbox.expire(DAY, 100)
        total += gone
        if (gone === 0) return total
      }
    }
    // The same messages again, in an order that is not that of the clean-up.
    const redeliver = async (): Promise<void> => {
      for (let n = 3000; left && n > 0; n -= 7) {
        const again = [n, n > 1 ? n - 1 : n].map((i) => incoming('a', { id: `old ${i}` }))
        await bench.store.transaction((tx) => bench.store.inbox.begin(tx, 'g', again, false))
      }
    }
    const others = [redeliver(), redeliver()]
    const gone = await Promise.all(stores.map(cleanUp))
    left = false
    await Promise.all(others)
    expect(gone.reduce((sum, n) => sum + n, 0)).toBe(3000)
    expect((await deadlocks()) - before).toBe(0)
  })

  // https://github.com/timgit/pg-boss/issues/323
  it('one clean-up that is stuck keeps all others from going on', async () => {
    const bench = await newBench()
    await finished(bench.schema, 50)
    const client = await bench.client()
    await client.query('BEGIN')
    await client.query(`DELETE FROM ${bench.schema}.inbox WHERE message_id IN ('old 1', 'old 2')`)
    expect(await bench.store.inbox.expire(DAY, 100)).toBe(48)
    await client.query('ROLLBACK')
    client.release()
    expect(await bench.store.inbox.expire(DAY, 100)).toBe(2)
  })

  // NServiceBus.Persistence.Sql#8: one DELETE for everything that is old
  it('a clean-up takes as long as there is something to delete', async () => {
    const bench = await newBench()
    await finished(bench.schema, 1000)
    expect(await bench.store.inbox.expire(DAY, 100)).toBe(100)
    const [row] = await control.run(`SELECT count(*)::int FROM ${bench.schema}.inbox`)
    expect(row).toEqual({ count: 900 })
  })

  // https://github.com/riverqueue/river/issues/59
  it('what was deleted and is not vacuumed yet slows the clean-up down, batch by batch', async () => {
    const { schema, store, spy } = await newBench()
    await finished(schema, 20_000)
    await control.run(`UPDATE ${schema}.inbox SET at = at + substr(message_id, 5)::int * interval '1 ms'`)
    await control.run(`VACUUM ANALYZE ${schema}.inbox`)
    const client = new pg.Client(home)
    await client.connect()
    // As long as this is open, nothing that is deleted can be vacuumed.
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await client.query('SELECT 1 FROM pg_class')
    /** How many pages the last batch would look at to find its rows, if it were run again. */
    const pages = async (): Promise<number> => {
      const again = new pg.Client(home)
      await again.connect()
      await again.query('BEGIN')
      const explain = `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${spy.statements.at(-1)}`
      const { rows } = await again.query<{ 'QUERY PLAN': { Plan: Node }[] }>(explain, [...spy.params.at(-1)!])
      await again.end()
      const find = (node: Node): number =>
        node['Index Name'] === 'inbox_finished'
          ? node['Shared Hit Blocks'] + node['Shared Read Blocks']
          : (node.Plans ?? []).reduce((sum, below) => sum + find(below), 0)
      return find(rows[0]!['QUERY PLAN'][0]!.Plan)
    }
    const read: number[] = []
    for (let batch = 0; batch < 30; batch++) {
      expect(await store.inbox.expire(DAY, 500)).toBe(500)
      read.push(await pages())
    }
    expect(read[1]).toBeGreaterThan(0)
    expect(read.at(-1)).toBeLessThan(3 * read[1]!)
    await client.end()
  })

  // https://github.com/brianc/node-postgres/issues/2080, https://github.com/open-metadata/OpenMetadata/issues/30955
  it('a text with the character 0 in it cannot be written, and its message is tried for ever', async () => {
    const { store, fences } = await newBench()
    const odd = 'a\u0000b\ud800'
    const failed = { ...FAILED, error: odd, stack: odd }
    await store.inbox.recordFailure('g', incoming('a', { key: odd, source: odd }), failed, RETRY_NOW, true)
    expect((await store.inbox.due(['g'], 10)).due).toHaveLength(1)
    const headers = { 'ce-note': odd }
    await store.transaction((tx) => store.outbox.insert(tx, [outgoing('a', { headers, body: new Uint8Array([0]) })]))
    expect((await store.outbox.read(fences, 10)).map(({ body }) => [...body])).toEqual([[0]])
  })

  describe.each(Object.entries(CONNECT))('on %s', (library, connect) => {
    // https://github.com/timgit/pg-boss/issues/365, https://github.com/timgit/pg-boss/issues/381, https://github.com/timgit/pg-boss/issues/510
    it('the process dies, or waits for ever, when the server cuts its connections', async () => {
      const schema = nextSchema()
      const applicationName = `${schema}_${library}`
      // postgres.js may never answer a BEGIN on a connection that ends in that moment: the driver waits for so long, and takes another.
      const service = serviceOn(connect(home, { applicationName, max: 4, connectionTimeout: 2000 }), { schema })
      running.push(service)
      const { tandem, reached, of } = service
      tandem.consume(Placed, () => undefined)
      await tandem.start()
      for (let round = 1; round <= 3; round++) {
        await control.run('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
          applicationName,
        ])
        // Each dead connection of the pool may fail one of them.
        for (let sent = false; !sent;) {
          sent = await tandem
            .transaction((tx) => tandem.send(tx, Placed({ n: round })))
            .then(
              () => true,
              () => false,
            )
        }
        await reached('message.handled', round)
      }
      expect(of('message.dead')).toEqual([])
    })
  })
})
