/** What others do in the same database, and what it is set to: locks, deadlocks, time-outs, an old snapshot, a full disk, a dead line. */
import { randomBytes } from 'node:crypto'
import { setTimeout as passed } from 'node:timers/promises'
import pg from 'pg'
import { expect } from 'vitest'
import { TcpProxy } from '../support/tcp-proxy.ts'
import type { Order } from './support/messages.ts'
import type { ServiceName } from './support/protocol.ts'
import type { ServiceProcess } from './support/service-process.ts'
import { fullDisk } from './support/small-disk.ts'
import { LEASE, serverTest, type FaultTestOptions, type ServerWorld } from './support/world.ts'

/** Longest pause of a loop that has failed for a while. */
const BACKOFF = 2000
/** Seconds for which the old snapshot is held. TANDEM_FAULT_SNAPSHOT_SECONDS=300 takes the time that it takes in production. */
const SNAPSHOT_SECONDS = Number(process.env['TANDEM_FAULT_SNAPSHOT_SECONDS'] ?? 4)
const POSTGRES = { on: ['postgres'] } as const satisfies FaultTestOptions

function delivered(world: ServerWorld, orders: readonly Order[]): readonly string[] {
  const counts = world.books.effectCounts()
  return orders.filter(({ order }) => !counts.has(order)).map(({ order }) => `${order} is not delivered`)
}

async function startBoth(
  world: ServerWorld,
): Promise<{ readonly order: ServiceProcess; readonly stock: ServiceProcess }> {
  const [order, stock] = await Promise.all([world.start('order'), world.start('stock')])
  await order.ask('place', { orders: world.orders(8) })
  await world.settled()
  return { order, stock }
}

/** Does `work` while somebody else's transaction is open that has begun with `sql`. PostgreSQL. */
async function beside(world: ServerWorld, service: ServiceName, sql: string, work: () => Promise<void>): Promise<void> {
  const { session: _, pool: __, kind: ___, ...settings } = world.database.settings(service)
  const client = new pg.Client({ ...settings.address, application_name: 'somebody else' })
  await client.connect()
  try {
    await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; ${sql}`)
    await work()
  } finally {
    await client.end()
  }
}

async function ends(world: ServerWorld): Promise<void> {
  await world.settled(BACKOFF + LEASE + world.soon)
  await world.stopAll()
  expect(world.database.sessions()).toBe(0)
}

function isRefused(placing: Promise<void>): Promise<boolean> {
  return placing.then(
    () => false,
    () => true,
  )
}

const failedWith =
  (code: string) =>
  ({ error }: Record<string, unknown>): boolean =>
    (error as { code: string }).code === code

serverTest(
  '4. A row with a lower sequence number commits later: it is not skipped, and other keys go on',
  async (world) => {
    await world.start('stock')
    const [slow, quick] = await Promise.all([world.start('order'), world.start('order')])
    const [first, ...others] = world.orders(8) as [Order, ...Order[]]
    const slowly = slow.ask('placeSlowly', { orders: [first] })
    await slow.begun(first.order)
    for (const order of others) await quick.ask('place', { orders: [order] })
    await world.until(() => delivered(world, others), world.soon)
    await slow.ask('release', { order: first.order })
    await slowly
    await ends(world)
  },
)

serverTest(
  "A deadlock between a user's transaction and a handler's: the one that loses begins again at once, and it is no failed attempt",
  async (world) => {
    const { order, stock } = await startBoth(world)
    const [one] = world.orders(1, { does: 'cross' }) as [Order]
    const crossing = isRefused(stock.ask('cross', { order: 'user' }))
    await stock.begun('user')
    await order.ask('place', { orders: [one] })
    await stock.begun(one.order)
    await stock.ask('release', { order: 'user' })
    await stock.ask('release', { order: one.order })
    // PostgreSQL lets the first lose that looks for a deadlock, MariaDB the one that has written less.
    const userLost = await crossing
    expect(userLost).toBe(world.database.kind === 'mariadb')
    await ends(world)
    expect(stock.events('message.failed')).toEqual([])
    expect(world.books.effects().filter((effect) => effect.order === one.order)).toMatchObject([{ attempt: 1 }])
    const hits = userLost ? 1 : 2
    expect(world.books.rows('stock', 'SELECT hits FROM counters')).toEqual([{ hits }, { hits }])
    // It tells twice where it is, each time that it begins.
    const begun = stock.reports.filter((report) => report.kind === 'begun' && report.order === one.order)
    expect(begun.length).toBe(userLost ? 2 : 4)
  },
)

for (const [name, settings] of [
  ['Lock time-outs', { lockTimeout: 200 }],
  ['statement_timeout', { session: { statement_timeout: 200 } }],
] as const) {
  const session = 'session' in settings ? settings.session : { lock_timeout: settings.lockTimeout }

  /** A lock in the way of `service`, for longer than a lease. */
  const locked =
    (
      table: string,
      service: ServiceName,
      during: (both: { order: ServiceProcess; stock: ServiceProcess; world: ServerWorld }) => Promise<void>,
    ) =>
    async (world: ServerWorld): Promise<void> => {
      const [order, stock] = await Promise.all(
        (['order', 'stock'] as const).map((one) =>
          world.start(one, one === service ? { database: { ...world.database.settings(one), session } } : {}),
        ),
      )
      await order!.ask('place', { orders: world.orders(8) })
      await world.settled()
      await beside(world, service, `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`, async () => {
        await during({ order: order!, stock: stock!, world })
        await passed(1.5 * LEASE)
      })
      await ends(world)
    }

  serverTest(
    `${name} of the relay and of the leases: they try again`,
    locked('tandem.lease', 'order', async ({ order }) => {
      await order.event('loop.failed', failedWith('STORE_BUSY'))
    }),
    POSTGRES,
  )

  serverTest(
    `${name} of send: the user's transaction fails, and leaves nothing`,
    locked('tandem.outbox', 'order', async ({ order, world }) => {
      const orders = world.orders(8)
      await expect(order.ask('place', { orders })).rejects.toMatchObject({ code: 'STORE_BUSY' })
      expect(orders.filter((one) => world.books.orders().has(one.order))).toEqual([])
    }),
    POSTGRES,
  )

  serverTest(
    `${name} of a consumer: it acks nothing and counts no attempt`,
    locked('tandem.inbox', 'stock', async ({ order, stock, world }) => {
      await order.ask('place', { orders: world.orders(8) })
      await stock.event('loop.failed', (event) => event['loop'] === 'consumer' && failedWith('STORE_BUSY')(event))
      expect(stock.events('message.failed')).toEqual([])
    }),
    POSTGRES,
  )

  serverTest(
    `${name} of a handler's own statement: a failed attempt, and the retry succeeds`,
    locked('effects', 'stock', async ({ order, stock, world }) => {
      await order.ask('place', { orders: world.orders(8) })
      await stock.event('message.failed')
    }),
    POSTGRES,
  )
}

serverTest(
  'idle_in_transaction_session_timeout ends the session of a handler: what it did is rolled back, and it runs again',
  async (world) => {
    const order = await world.start('order')
    const session = { idle_in_transaction_session_timeout: 300 }
    const stock = await world.start('stock', { database: { ...world.database.settings('stock'), session } })
    const [held] = world.orders(1, { does: 'hold' }) as [Order]
    await order.ask('place', { orders: [held] })
    await stock.begun(held.order)
    await order.ask('place', { orders: world.orders(8) })
    // Which is when the server has ended the session.
    await passed(600)
    await stock.ask('release', { order: held.order })
    await ends(world)
  },
  POSTGRES,
)

serverTest(
  `10. Some other transaction holds the oldest snapshot for ${SNAPSHOT_SECONDS} s under load: every message still goes out at once`,
  async (world) => {
    const { order, stock } = await startBoth(world)
    const took: number[] = []
    let placed = 0
    const batch = (): Promise<void> => order.ask('place', { orders: world.orders(64) })
    await beside(world, 'order', 'CREATE TABLE held (n int)', async () => {
      for (const began = performance.now(); performance.now() - began < SNAPSHOT_SECONDS * 1000; placed += 256) {
        const from = performance.now()
        for (let i = 0; i < 4; i++) await batch()
        await world.settled(5000 + world.soon)
        took.push(performance.now() - from)
      }
      // What makes it slow elsewhere is there: rows that nobody may clear away.
      world.database.execute('order', 'VACUUM tandem.outbox')
      const [row] = world.database.execute('order', "SELECT pg_relation_size('tandem.outbox') AS size")
      expect(Number(row?.['size'])).toBeGreaterThan(placed * 300)
    })
    expect(took.at(-1)).toBeLessThan(3 * (took[0] ?? 0) + world.slack)
    expect([...order.events('loop.failed'), ...stock.events('loop.failed')]).toEqual([])
    await ends(world)
  },
  { ...POSTGRES, lease: 10_000 },
)

serverTest(
  'A full disk: send says STORE_FULL, a consumer waits without counting an attempt, and all goes on when there is room',
  async (world) => {
    const { order, stock } = await startBoth(world)
    const pad = (): string => randomBytes(200_000).toString('hex')
    const large = (): Order[] => world.orders(1).map((one) => ({ ...one, pad: pad() }))
    const disk = fullDisk(world.database)
    try {
      disk.fill('order', 'tandem.outbox')
      const [refused] = large() as [Order]
      await expect(order.ask('place', { orders: [refused] })).rejects.toMatchObject({ code: 'STORE_FULL' })
      expect(world.books.orders().has(refused.order)).toBe(false)
      disk.makeRoom()

      disk.fill('stock', 'notes')
      const waiting = large() as [Order]
      await order.ask('place', { orders: waiting })
      await stock.event('loop.failed', failedWith('STORE_FULL'))
      expect(delivered(world, waiting)).not.toEqual([])
      disk.makeRoom()
      await world.settled(BACKOFF + LEASE + world.soon)
      expect(stock.events('message.failed')).toEqual([])
      expect(world.books.effects().filter((effect) => effect.order === waiting[0].order)).toMatchObject([
        { attempt: 1 },
      ])
      await ends(world)
    } finally {
      disk.remove()
    }
  },
  POSTGRES,
)

serverTest(
  'Connections that carry nothing any more and are not closed: with a query_timeout of the pool, they are given up',
  async (world) => {
    const settings = world.database.settings('order')
    const proxy = await TcpProxy.start(settings.address)
    try {
      const pool = { max: 4, query_timeout: 500 }
      const database = (service: ServiceName) => ({ ...world.database.settings(service, proxy.port), pool })
      const [order] = await Promise.all(
        (['order', 'stock'] as const).map((service) => world.start(service, { database: database(service) })),
      )
      await order!.ask('place', { orders: world.orders(8) })
      await world.settled()
      for (const from of ['server', 'client', 'both'] as const) {
        proxy.swallow(from)
        // Each connection of the pool may have to be found out.
        while (await isRefused(order!.ask('place', { orders: world.orders(8) })));
        await world.settled(3000 + BACKOFF + 2 * LEASE + world.soon)
      }
      // The server still has the connections that nobody told it of.
      proxy.cutAll()
      await ends(world)
    } finally {
      await proxy.close()
    }
  },
  POSTGRES,
)
