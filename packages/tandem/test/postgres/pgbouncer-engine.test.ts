// A service behind a PgBouncer in transaction mode that has two connections to the server, and what it says when its library was not told.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createAdmin } from '../../src/admin/index.ts'
import { message } from '../../src/index.ts'
import { hasPgBouncer, PgBouncer } from '../support/pgbouncer.ts'
import { CONNECT, serviceOn, type Connections, type RunningService } from './engine-fixture.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const Placed = message<{ n: number }>('placed', { key: ({ n }) => `${n % 5}` })
const Noted = message<{ n: number }>('noted')
const SOON = { initial: 1, max: 1, maxAttempts: 2 }

describe.skipIf(databases === undefined || !hasPgBouncer())('behind PgBouncer', () => {
  const { control, home } = databases!
  let bouncer: PgBouncer
  const running: RunningService[] = []
  beforeAll(async () => {
    bouncer = await PgBouncer.start(home, { poolSize: 2 })
  })
  afterEach(async () => {
    for (const one of running.splice(0)) await one.end()
  })
  afterAll(() => bouncer.dispose())

  describe.each(Object.entries(CONNECT))('a service on %s', (name, connect) => {
    it('sends, handles once, retries, gives up, replays and decides half messages', async () => {
      const schema = nextSchema()
      await control.run(`CREATE TABLE ${schema}_effects (n int, what text)`)
      const service = serviceOn(connect(bouncer.address(home), { max: 12 }), { schema })
      running.push(service)
      const { tandem, store, connections, reached, of } = service
      const note = (tx: object, n: number, what: string): Promise<unknown> =>
        connections.run(tx, `INSERT INTO ${schema}_effects VALUES (${n}, '${what}')`)
      let broken = true
      tandem.consume(
        Placed,
        async ({ n }, { tx, attempt, send }) => {
          await note(tx, n, 'placed')
          if (n === 3 && attempt === 1) throw new Error('once')
          if (n === 7 && broken) throw new Error('always')
          await send(Noted({ n }))
        },
        { ordered: true, retry: SOON },
      )
      tandem.consume(Noted, ({ n }, { tx }) => note(tx, n, 'noted'))
      await tandem.start()

      const COUNT = 40
      await Promise.all(
        Array.from({ length: COUNT }, (_unused, n) => tandem.transaction((tx) => tandem.send(tx, Placed({ n })))),
      )
      await reached('message.dead')
      broken = false
      const admin = createAdmin({ service: 'order', store })
      const report = await admin.deadLetters.replay({ filter: { type: 'placed' } }, { by: 'kim' })
      expect(report.results.map(({ outcome }) => outcome)).toEqual(['replayed'])
      await tandem.transact(Placed({ n: COUNT }), (tx) => note(tx, COUNT, 'local'))
      await reached('message.handled', 2 * (COUNT + 1))
      await reached('message.published', 2 * (COUNT + 1))

      const rows = await control.run(`SELECT what, count(*)::int, count(DISTINCT n)::int AS numbers
        FROM ${schema}_effects GROUP BY what ORDER BY what`)
      expect(rows).toEqual([
        { what: 'local', count: 1, numbers: 1 },
        { what: 'noted', count: COUNT + 1, numbers: COUNT + 1 },
        { what: 'placed', count: COUNT + 1, numbers: COUNT + 1 },
      ])
      expect([of('loop.failed'), of('warning')]).toEqual([[], []])
      const { outbox, inbox } = await store.admin.overview()
      expect([outbox.unsent, inbox[0]?.states]).toEqual([
        0,
        { handled: 2 * (COUNT + 1), retrying: 0, blocked: 0, dead: 0, discarded: 0 },
      ])
    })

    it('with prepared statements fails, and says what to do', async () => {
      const schema = nextSchema()
      const connections: Connections = connect(bouncer.address(home), { max: 8, prepare: true })
      const { tandem, store } = serviceOn(connections, { schema })
      // It may fail at any statement, and the first few may reach the connection that knows them. Outside of transactions postgres.js
      // helps itself.
      const send = (): Promise<void> => tandem.transaction((tx) => tandem.send(tx, Noted({ n: 0 })))
      const failure = async (): Promise<unknown> => {
        try {
          await tandem.open()
          for (;;) await Promise.all(Array.from({ length: 8 }, send))
        } catch (error) {
          return error
        }
      }
      expect(await failure()).toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringMatching(/prepare: false.*prepare: true.*max_prepared_statements/) as string,
      })
      const warnings = store.warnings?.() ?? []
      expect(warnings).toEqual(name === 'pg' ? [] : [expect.stringMatching(/a pooler between.*prepare: false/)])
      await connections.end()
    })
  })

  it('a store on postgres.js gets its answers although the library sends statements ahead', async () => {
    const connections = CONNECT['postgres.js'](bouncer.address(home), { max: 2 })
    const schema = nextSchema()
    const { tandem, store } = serviceOn(connections, { schema })
    await tandem.open()
    // Statements with parameters and without, far more of them than connections.
    const ask = (n: number): Promise<unknown> => (n % 2 === 0 ? store.admin.overview() : store.inbox.state('g', `${n}`))
    for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 40 }, (_unused, n) => ask(n)))
    await tandem.stop()
    await connections.end()
  })
})
