// What the engine does with connections: it gets along with one, it holds no transaction open while it waits for a broker, and several
// services live in one database.
import { afterEach, describe, expect, it } from 'vitest'
import { memory } from '../../src/brokers/memory/index.ts'
import { createAdmin } from '../../src/admin/index.ts'
import { message, type Tandem } from '../../src/index.ts'
import { ScriptedBroker } from '../support/engine.ts'
import { until } from '../support/clock.ts'
import { CONNECT, serviceOn, type RunningService } from './engine-fixture.ts'
import { nextSchema, storeDatabases } from './store-fixture.ts'

const databases = await storeDatabases()
const Placed = message<{ n: number }>('placed')
const Reserved = message<{ n: number }>('reserved')
const FAST = { initial: 1, max: 1, maxAttempts: 3 }

describe.skipIf(databases === undefined).each(Object.entries(CONNECT))('on %s', (library, connect) => {
  const { control, home } = databases!
  const running: RunningService[] = []
  const end = async (): Promise<void> => {
    for (const one of running.splice(0)) await one.end()
  }
  afterEach(end)

  const started = async (service: RunningService, register: (tandem: Tandem<object>) => void): Promise<void> => {
    running.push(service)
    register(service.tandem)
    await service.tandem.start()
  }

  describe('a pool of one connection', () => {
    it('is enough for all there is to do, and is warned of once', async () => {
      const schema = nextSchema()
      await control.run(`CREATE TABLE ${schema}_effects (n int)`)
      const service = serviceOn(connect(home, { max: 1 }), { schema })
      const { tandem, store, connections, reached, of } = service
      const effect = (tx: object, n: number): Promise<unknown> =>
        connections.run(tx, `INSERT INTO ${schema}_effects VALUES (${n})`)
      await started(service, () => {
        tandem.consume(
          Placed,
          async ({ n }, { tx, attempt, send }) => {
            await effect(tx, n)
            if (n % 3 === 0 && attempt === 1) throw new Error('once')
            await send(Reserved({ n }))
          },
          { retry: FAST },
        )
        tandem.consume(Reserved, () => undefined)
        tandem.check(Reserved, () => 'commit')
      })
      const admin = createAdmin({ service: 'order', store })
      const COUNT = 12
      await Promise.all([
        ...Array.from({ length: COUNT }, (_, n) => tandem.transaction((tx) => tandem.send(tx, Placed({ n })))),
        tandem.transact(Placed({ n: COUNT + 1 }), (tx) => effect(tx, -1)),
        tandem.prepare(Reserved({ n: -2 })).then((half) => half.commit()),
        admin.status(),
        admin.deadLetters.list(),
      ])
      await reached('message.handled', 2 * (COUNT + 1) + 1)
      expect(of('loop.failed')).toEqual([])
      expect(of('warning').map(({ text }) => text)).toEqual([
        expect.stringMatching(/^the pool has one connection: .*Let it have/),
      ])
      const [row] = await control.run(`SELECT count(*)::int, count(DISTINCT n)::int AS numbers FROM ${schema}_effects`)
      expect(row).toEqual({ count: COUNT + 2, numbers: COUNT + 2 })
    })

    it('a handler that begins another transaction inside is told why that cannot be, and nothing hangs', async () => {
      const service = serviceOn(connect(home, { max: 1 }), { schema: nextSchema() })
      const { tandem, reached, of } = service
      await started(service, () => {
        tandem.consume(
          Placed,
          async ({ n }, { tx }) => {
            if (n === 1) await tandem.transaction((inner) => tandem.send(inner, Reserved({ n })))
            if (n === 2) await tandem.transact(Reserved({ n }), () => undefined)
            if (n === 3) await tandem.send(tx, Reserved({ n }))
          },
          { retry: { maxAttempts: 1 } },
        )
        tandem.check(Reserved, () => 'commit')
      })
      await tandem.transaction((tx) => tandem.send(tx, [Placed({ n: 1 }), Placed({ n: 2 }), Placed({ n: 3 })]))
      await reached('message.dead', 2)
      await reached('message.handled')
      for (const { error } of of('message.dead')) {
        expect(error).toMatch(
          /TRANSACTION_INVALID: this call needs a second connection, and the pool has one, .*use the transaction/,
        )
      }
    })

    it('who waits in a transaction of his own for another is turned away in time, with the size of the pool', async () => {
      const service = serviceOn(connect(home, { max: 1, connectionTimeout: 100 }), { schema: nextSchema() })
      running.push(service)
      const { tandem, store, connections } = service
      await tandem.open()
      // Not of Tandem's: nobody can know that the one call is inside of the other.
      const nested = connections.begin(() => store.inbox.state('g', 'x'))
      await expect(nested).rejects.toMatchObject({
        code: 'STORE_BUSY',
        message: expect.stringMatching(/no connection of the pool \(it has 1\) was free for 100 ms/) as string,
      })
      expect(await store.inbox.state('g', 'x')).toBeUndefined()
    })
  })

  it('no transaction is open while a broker does not answer', async () => {
    const schema = nextSchema()
    const applicationName = `${schema}_${library}`
    const broker = new ScriptedBroker()
    const asked = Promise.withResolvers<void>()
    broker.publishing = (_messages, signal) => {
      asked.resolve()
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')))
      })
    }
    const service = serviceOn(connect(home, { applicationName }), { schema }, { broker })
    await started(service, ({ check }) => void check)
    const { tandem } = service
    await tandem.transaction((tx) => tandem.send(tx, Placed({ n: 1 })))
    await tandem.transact(Placed({ n: 2 }), () => undefined)
    await asked.promise
    const states = async (): Promise<unknown[]> =>
      (
        await control.run(
          `SELECT state FROM pg_stat_activity WHERE application_name = $1
            AND (state LIKE 'idle in transaction%' OR xact_start < clock_timestamp() - interval '200 ms')`,
          [applicationName],
        )
      ).map((row) => row['state'])
    // The loops go on meanwhile: a transaction that one of them has begun ends by itself, one that waits for the broker does not.
    await until(async () => (await states()).length === 0)
    const [used] = await control.run('SELECT count(*)::int FROM pg_stat_activity WHERE application_name = $1', [
      applicationName,
    ])
    expect(used?.['count']).toBeGreaterThan(0)
  })

  describe('several services', () => {
    const pair = async (schemas: readonly [string, string]): Promise<[RunningService, RunningService]> => {
      // Whoever stops first must not close it for the other.
      const keep = new Proxy(memory(), {
        get: (target, name) => {
          const value: unknown = name === 'close' ? async () => undefined : Reflect.get(target, name)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      })
      const [order, stock] = schemas.map((schema, i) =>
        serviceOn(connect(home), { schema }, { service: i === 0 ? 'order' : 'stock', broker: keep }),
      ) as [RunningService, RunningService]
      await started(stock, (tandem) => tandem.consume(Placed, ({ n }, { send }) => send(Reserved({ n }))))
      await started(order, (tandem) => tandem.consume(Reserved, () => undefined))
      return [order, stock]
    }
    const exchange = async ([order, stock]: readonly RunningService[]): Promise<void> => {
      const { tandem } = order!
      await tandem.transaction((tx) =>
        tandem.send(
          tx,
          Array.from({ length: 20 }, (_, n) => Placed({ n })),
        ),
      )
      await stock!.reached('message.handled', 20)
      await order!.reached('message.handled', 20)
      for (const one of [order!, stock!]) expect([one.of('message.duplicate'), one.of('loop.failed')]).toEqual([[], []])
    }

    it('live in one database under a schema each', async () => {
      const services = await pair([nextSchema(), nextSchema()])
      await exchange(services)
      const inboxes = await Promise.all(services.map(async ({ store }) => (await store.admin.overview()).inbox))
      expect(inboxes.map((inbox) => inbox.map(({ group, states }) => [group, states.handled]))).toEqual([
        [['order', 20]],
        [['stock', 20]],
      ])
    })

    it('may even share a schema, if they share the broker: each relays what the other sends', async () => {
      const schema = nextSchema()
      const services = await pair([schema, schema])
      await exchange(services)
      const { inbox, processes } = await services[0].store.admin.overview()
      expect(inbox.map(({ group, states }) => [group, states.handled])).toEqual([
        ['order', 20],
        ['stock', 20],
      ])
      expect(processes.filter(({ alive }) => alive)).toHaveLength(2)
    })
  })
})
