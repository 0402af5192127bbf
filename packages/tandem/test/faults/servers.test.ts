/** What becomes of a database server under load: it is killed, stands still, takes no more writes, or is cut off. */
import { setTimeout as passed } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TcpProxy } from '../support/tcp-proxy.ts'
import type { ServerDatabase } from './support/databases.ts'
import { Load } from './support/load.ts'
import type { ServerKind, ServiceName } from './support/protocol.ts'
import { OWN_SERVERS, type OwnServer } from './support/servers.ts'
import type { ServiceProcess } from './support/service-process.ts'
import { inWorld, LEASE, World, type ServerWorld } from './support/world.ts'

/** Longest pause of a loop that has failed for a while. */
const BACKOFF = 2000
const SERVICES = ['order', 'stock'] as const satisfies readonly ServiceName[]
const SETTINGS = { consume: { ordered: true, retry: { delays: [50] } } }

interface Stage {
  readonly world: ServerWorld
  /** The first is the one that takes orders. */
  readonly orders: readonly [ServiceProcess, ServiceProcess]
  readonly stock: ServiceProcess
  readonly load: Load
}

/** How a server is told to refuse every write, as one does that has become a standby, and to take them again. */
const READ_ONLY: Readonly<Record<ServerKind, (database: ServerDatabase, on: boolean) => void>> = {
  postgres: (database, on) => {
    database.execute('order', `ALTER SYSTEM SET default_transaction_read_only = ${on ? 'on' : 'off'}`)
    database.execute('order', 'SELECT pg_reload_conf()')
  },
  mariadb: (database, on) => {
    database.execute('order', `SET GLOBAL read_only = ${on ? 1 : 0}`)
  },
}

describe.each(OWN_SERVERS)('$kind', ({ kind, isHere, start }) => {
  let server: OwnServer
  beforeAll(async () => {
    if (isHere) server = await start()
  })
  afterAll(() => server?.dispose())

  /** A test with two processes of the order service and one of the stock service under load. Whatever happens, the books are balanced. */
  function loadTest(name: string, run: (stage: Stage) => Promise<void>): void {
    test.skipIf(!isHere)(name, () =>
      inWorld(
        () => new World(() => server.databases(), SETTINGS),
        (world) => underLoad(world, run),
      ),
    )
  }

  async function underLoad(
    world: ServerWorld,
    run: (stage: Stage) => Promise<void>,
    ports: Partial<Record<ServiceName, number>> = {},
  ): Promise<void> {
    const [order, stock] = await Promise.all(
      SERVICES.map((name) => world.start(name, { database: world.database.settings(name, ports[name]) })),
    )
    const second = await world.start('order', { database: world.database.settings('order', ports.order) })
    const load = new Load(world, order!)
    await stock!.count('message.handled', 8)
    await run({ world, orders: [order!, second], stock: stock!, load })
    await load.end()
    await world.drained(BACKOFF + world.soon)
    // As before, and at once.
    await order!.ask('place', { orders: world.orders(8) })
    await world.settled()
    expect(world.books.overtaken()).toEqual([])
    await world.stopAll()
    expect(world.database.sessions()).toBe(0)
  }

  /** What is placed from now on is handled, within a lease and the longest pause of a loop. */
  async function goesOn({ world, stock }: Stage): Promise<void> {
    const before = stock.events('message.handled').length
    await world.until(
      () => (stock.events('message.handled').length > before + 16 ? [] : ['nothing is handled']),
      BACKOFF + LEASE + world.soon,
    )
  }

  loadTest('the server is killed with -9 and started again, twice', async (stage) => {
    for (let time = 1; time <= 2; time++) {
      await server.crash()
      await goesOn(stage)
    }
    stage.load.wasUnavailable()
  })

  loadTest('5. The server is down for longer than a lease: the loops try again until it is back', async (stage) => {
    const { orders, stock, load } = stage
    await server.stop()
    const seen = orders.map((process) => process.reports.length)
    await passed(1.5 * LEASE)
    await Promise.all([
      ...orders.map((process, i) => process.event('loop.failed', undefined, seen[i])),
      stock.event('loop.failed'),
    ])
    await server.start()
    await goesOn(stage)
    load.wasUnavailable()
  })

  loadTest('the server stands still (SIGSTOP) for longer than a lease', async (stage) => {
    server.freeze()
    try {
      await passed(2 * LEASE)
    } finally {
      server.thaw()
    }
    await goesOn(stage)
    // Nobody was refused anything: it took a while.
    expect([...stage.load.refused]).toEqual([])
  })

  loadTest('a failover: the server refuses writes for longer than a lease', async (stage) => {
    const { world, orders, stock, load } = stage
    const seen = stock.reports.length
    READ_ONLY[kind](world.database, true)
    try {
      await passed(1.5 * LEASE)
      await orders[1].event('loop.failed', ({ error }) => (error as { code: string }).code === 'STORE_UNAVAILABLE')
      await stock.event('loop.failed', undefined, seen)
    } finally {
      READ_ONLY[kind](world.database, false)
    }
    await goesOn(stage)
    load.wasUnavailable()
    // No message is to blame.
    expect(stock.events('message.dead')).toEqual([])
  })

  test.skipIf(!isHere)(
    'all connections are cut again and again, by reset and by end, and turned away for a while',
    () =>
      inWorld(
        () => new World(() => server.databases(), SETTINGS),
        async (world) => {
          const proxy = await TcpProxy.start(world.database.settings('order').address)
          try {
            const ports = { order: proxy.port, stock: proxy.port }
            await underLoad(
              world,
              async (stage) => {
                for (const how of ['reset', 'end', 'reset', 'end'] as const) {
                  proxy.cutAll(how)
                  await goesOn(stage)
                }
                proxy.refuse()
                proxy.cutAll()
                await passed(1.5 * LEASE)
                proxy.accept()
                await goesOn(stage)
                proxy.delay(20)
                await goesOn(stage)
                proxy.delay(0)
                stage.load.wasUnavailable()
              },
              ports,
            )
            expect(proxy.connections).toBe(0)
          } finally {
            await proxy.close()
          }
        },
      ),
  )
})
