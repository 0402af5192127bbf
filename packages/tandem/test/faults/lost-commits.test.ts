/**
 * Connections that are cut at a commit: the server never hears of it, or it has committed and nobody knows. Nothing may be lost, and nothing
 * may happen twice.
 */
import { expect } from 'vitest'
import { TcpProxy, type CutRule, type Loss } from '../support/tcp-proxy.ts'
import type { Order } from './support/messages.ts'
import type { ServerKind, ServiceName } from './support/protocol.ts'
import type { ServiceProcess } from './support/service-process.ts'
import { serverTest, type ServerWorld } from './support/world.ts'

interface Stage {
  readonly world: ServerWorld
  readonly order: ServiceProcess
  readonly stock: ServiceProcess
  /** Stands before the database of one of the two. */
  readonly proxy: TcpProxy
}

const LOSSES: readonly Loss[] = ['request', 'answer']
const IS_LOST: Readonly<Record<Loss, string>> = {
  request: 'the server never hears of it',
  answer: 'it is done, and the answer is lost',
}
/** How a relay removes what it has published. */
const REMOVES: Readonly<Record<ServerKind, Pick<CutRule, 'after' | 'at'>>> = {
  postgres: { at: 'gone AS (DELETE FROM' },
  mariadb: { after: 'DELETE o FROM', at: 'COMMIT' },
}
/** Milliseconds: how soon is looked at elsewhere. */
const PATIENT = 20_000

/** A lease that is missed on a loaded machine is not what is looked for here. */
const SETTINGS = { lease: 5000, consume: { ordered: true, retry: { delays: [50] } } }

function lossTest(name: string, behindProxy: ServiceName, lose: Loss, run: (stage: Stage) => Promise<void>): void {
  serverTest(
    `${name}: ${IS_LOST[lose]}`,
    async (world) => {
      const settings = world.database.settings(behindProxy)
      const proxy = await TcpProxy.start(settings.address)
      try {
        const database = world.database.settings(behindProxy, proxy.port)
        const [order, stock] = await Promise.all(
          (['order', 'stock'] as const).map((service) =>
            world.start(service, service === behindProxy ? { database } : {}),
          ),
        )
        await order!.ask('place', { orders: world.orders(8) })
        await world.settled(PATIENT)
        await run({ world, order: order!, stock: stock!, proxy })
        // Everything goes on as if nothing had been.
        await order!.ask('place', { orders: world.orders(8) })
        await world.settled(PATIENT)
        expect(world.books.overtaken()).toEqual([])
        await world.stopAll()
        expect([world.database.sessions(), proxy.connections]).toEqual([0, 0])
      } finally {
        await proxy.close()
      }
    },
    SETTINGS,
  )
}

/** Both end, whichever comes first. */
async function cutWhile(proxy: TcpProxy, rule: CutRule, act: () => Promise<unknown>): Promise<void> {
  const cut = proxy.cutAt(rule)
  await act()
  await cut
}

const UNKNOWN = { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('is not known') as string }

for (const lose of LOSSES) {
  const committed = lose === 'answer'

  lossTest("The commit of a user's transaction with send", 'order', lose, async ({ world, order, proxy }) => {
    const orders = world.orders(8)
    await cutWhile(proxy, { after: 'INSERT INTO orders', at: 'COMMIT', lose }, async () => {
      await expect(order.ask('place', { orders })).rejects.toMatchObject(UNKNOWN)
    })
    await world.settled(PATIENT)
    const found = world.books.orders()
    expect(orders.map((one) => found.has(one.order))).toEqual(orders.map(() => committed))
    expect(orders.map((one) => world.books.effectCounts().get(one.order) ?? 0)).toEqual(
      orders.map(() => (committed ? 1 : 0)),
    )
  })

  lossTest("The commit of a handler's transaction", 'stock', lose, async ({ world, order, stock, proxy }) => {
    const seen = stock.reports.length
    const [one] = world.orders(1) as [Order]
    await cutWhile(proxy, { after: 'INSERT INTO effects', at: 'COMMIT', lose }, () =>
      order.ask('place', { orders: [one] }),
    )
    if (committed) await stock.event('message.duplicate', undefined, seen)
    await world.settled(PATIENT)
    // It is not the message's fault.
    expect(world.books.effects().filter((effect) => effect.order === one.order)).toMatchObject([{ attempt: 1 }])
    expect(stock.events('message.failed')).toEqual([])
  })

  lossTest('The delete of a relay', 'order', lose, async ({ world, order, proxy }) => {
    const before = world.books.published().length
    await cutWhile(proxy, { ...REMOVES[world.database.kind], lose }, () =>
      order.ask('place', { orders: world.orders(8) }),
    )
    await order.event('loop.failed', ({ loop }) => loop === 'relay')
    await world.settled(PATIENT)
    // What it could not delete it has published again.
    const copies = world.books.published().length - before - 8
    if (committed) expect(copies).toBe(0)
    else expect(copies).toBeGreaterThan(0)
  })

  lossTest('The commit of transact', 'order', lose, async ({ world, order, proxy }) => {
    const [one] = world.orders(1) as [Order]
    const acted = (): Promise<void> => order.ask('transact', { order: one })
    await cutWhile(proxy, { after: 'INSERT INTO orders', at: 'COMMIT', lose }, async () => {
      // The barrier knows.
      if (committed) await acted()
      else await expect(acted()).rejects.toMatchObject(UNKNOWN)
    })
    await world.settled(PATIENT)
    const { id, state } = world.books.halves().at(-1)!
    expect([state, world.books.barriers().get(id)]).toEqual(
      committed ? ['committed', 'commit'] : ['rolled-back', 'rollback'],
    )
    expect(world.books.orders().has(one.order)).toBe(committed)
    expect(world.books.effectCounts().get(one.order)).toBe(committed ? 1 : undefined)
    expect(world.books.published().filter((published) => published === id)).toHaveLength(committed ? 1 : 0)
  })
}
