import { expect } from 'vitest'
import type { CrashPoint } from '../../../src/testing/index.ts'
import type { Books } from './books.ts'
import type { Order } from './messages.ts'
import type { ServiceName, Settings } from './protocol.ts'
import type { ServiceProcess } from './service-process.ts'
import type { World } from './world.ts'

/** What one step towards a crash point works with. */
export interface Stage {
  readonly world: World
  /** The process that is to die. */
  readonly victim: ServiceProcess
  /** Where orders are placed. */
  readonly order: ServiceProcess
  /** Resolves when everything so far is settled, or the victim is dead. */
  settledOrDead(): Promise<void>
}

/** How a process is brought to a crash point, and what it then leaves on the disk. */
export interface Scenario {
  /** For the title of its tests, where a point has several. */
  readonly variant?: string
  readonly victim: ServiceName
  /** Where orders are placed when another process of the service is alive. */
  readonly feeds: 'victim' | 'other'
  readonly settings?: Partial<Settings>
  /** Only for the process that is to die. */
  readonly armed?: Partial<Settings>
  /** Is done again and again until the victim is dead. */
  readonly step: (stage: Stage) => Promise<void>
  /** What is there right after the death. `last`: the orders of the last step. */
  readonly onDisk: (books: Books, last: readonly string[]) => void
}

const inOneTransaction =
  (more: Partial<Order> = {}) =>
  async ({ world, order, settledOrDead }: Stage): Promise<void> => {
    await order.ask('place', { orders: world.orders(8, more) })
    await settledOrDead()
  }

const transact =
  (limbo?: 'committed' | 'not-begun') =>
  async ({ world, order, settledOrDead }: Stage): Promise<void> => {
    const [one] = world.orders(1) as [Order]
    await order.ask('transact', { order: one, ...(limbo === undefined ? {} : { limbo }) })
    await settledOrDead()
  }

const checkedByUser = async ({ world, order, settledOrDead }: Stage): Promise<void> => {
  const [one] = world.orders(1) as [Order]
  await order.ask('write', { order: one })
  await order.ask('prepare', { order: one })
  await settledOrDead()
}

const replayed = async ({ world, order, victim, settledOrDead }: Stage): Promise<void> => {
  await order.ask('place', { orders: world.orders(1, { does: 'fail-1' }) })
  await world.until(
    () => (world.books.failures().some(({ state }) => state === 'dead') ? [] : ['nothing is dead']),
    5000,
  )
  await victim.ask('replay', {})
  await settledOrDead()
}

function lastHalf(books: Books): { readonly id: string; readonly state: string } {
  return books.halves().at(-1) ?? { id: 'none', state: 'none' }
}

/** Whether the last half message and its barrier are as they should be. */
const half = (state: string, barrier: string | undefined, committed: boolean): Scenario['onDisk'] => {
  return (books, [order]) => {
    const { id, state: found } = lastHalf(books)
    expect({ state: found, barrier: books.barriers().get(id), committed: books.orders().has(order ?? '') }).toEqual({
      state,
      barrier,
      committed,
    })
  }
}

/** The handler's transaction has left nothing: some message has no effect, and there are as many effects as inbox rows that say `handled`. */
const nothingOfTheHandling: Scenario['onDisk'] = (books, last) => {
  const handled = books.count('stock', "SELECT count(*) FROM tandem_inbox WHERE state = 'handled'")
  expect(books.effects()).toHaveLength(handled)
  expect(last.some((order) => !books.effectCounts().has(order))).toBe(true)
}

const committedNotAcked: Scenario['onDisk'] = (books) => {
  const handled = new Set(books.effects().map(({ id }) => id))
  expect(books.unacked('stock', 'orders.placed').some((id) => handled.has(id))).toBe(true)
}

const retryBegun =
  (attempts: number): Scenario['onDisk'] =>
  (books) => {
    const begun = books.failures().filter((failure) => failure.begun)
    // SQLite has one writer; elsewhere others are under way beside it.
    expect(begun).not.toEqual([])
    expect(begun).toEqual(begun.map(() => expect.objectContaining({ state: 'retrying', attempts }) as unknown))
    expect(books.effects().filter((effect) => begun.some(({ id }) => effect.id === id))).toEqual([])
  }

const RELAY = { victim: 'order', feeds: 'other', step: inOneTransaction() } as const
const LOCAL = { victim: 'order', feeds: 'victim' } as const
const CHECK = { victim: 'order', feeds: 'other' } as const
const CONSUMER = { victim: 'stock', feeds: 'other' } as const
const IN_BATCHES = { variant: 'several in one transaction', settings: { consume: { transactionSize: 4 } } } as const

/** Every crash point, and the ways to it. */
export const SCENARIOS: Readonly<Record<CrashPoint, readonly Scenario[]>> = {
  'send.inserted': [
    {
      ...LOCAL,
      step: inOneTransaction(),
      onDisk: (books, last) => {
        expect(last.filter((order) => books.orders().has(order))).toEqual([])
        expect(books.outboxIds()).toEqual([])
      },
    },
  ],
  'relay.read': [
    {
      ...RELAY,
      onDisk: (books, last) => {
        expect(last.every((order) => books.orders().has(order))).toBe(true)
        expect(books.outboxIds()).not.toEqual([])
        expect(books.outboxIds().filter((id) => books.published().includes(id))).toEqual([])
      },
    },
  ],
  'relay.published': [
    {
      ...RELAY,
      onDisk: (books) => {
        expect(books.outboxIds().filter((id) => books.published().includes(id))).not.toEqual([])
      },
    },
  ],
  'relay.removed': [
    {
      ...RELAY,
      onDisk: (books) => {
        expect(books.published()).not.toEqual([])
        expect(books.outboxIds().filter((id) => books.published().includes(id))).toEqual([])
      },
    },
  ],
  'relay.held': [
    {
      ...RELAY,
      step: inOneTransaction({ refuse: true }),
      armed: { refuse: 'retryable' },
      onDisk: (books) => expect(books.held().map(({ state }) => state)).toContain('waiting'),
    },
  ],
  'half.prepared': [{ ...LOCAL, step: transact(), onDisk: half('prepared', undefined, false) }],
  'half.local-committed': [{ ...LOCAL, step: transact(), onDisk: half('prepared', 'commit', true) }],
  'half.resolved': [{ ...LOCAL, step: transact(), onDisk: half('committed', 'commit', true) }],
  'check.answered': [
    { ...CHECK, step: transact('committed'), onDisk: half('prepared', 'commit', true) },
    { ...CHECK, variant: 'by the check of the user', step: checkedByUser, onDisk: half('prepared', undefined, true) },
  ],
  'check.closed': [{ ...CHECK, step: transact('not-begun'), onDisk: half('prepared', 'rollback', false) }],
  'check.resolved': [
    { ...CHECK, step: transact('committed'), onDisk: half('committed', 'commit', true) },
    {
      ...CHECK,
      variant: 'with a rollback',
      step: transact('not-begun'),
      onDisk: half('rolled-back', 'rollback', false),
    },
  ],
  'consume.begun': [
    { ...CONSUMER, step: inOneTransaction(), onDisk: nothingOfTheHandling },
    { ...CONSUMER, ...IN_BATCHES, step: inOneTransaction(), onDisk: nothingOfTheHandling },
  ],
  'consume.handled': [
    { ...CONSUMER, step: inOneTransaction(), onDisk: nothingOfTheHandling },
    { ...CONSUMER, ...IN_BATCHES, step: inOneTransaction(), onDisk: nothingOfTheHandling },
  ],
  'consume.committed': [
    { ...CONSUMER, step: inOneTransaction(), onDisk: committedNotAcked },
    { ...CONSUMER, ...IN_BATCHES, step: inOneTransaction(), onDisk: committedNotAcked },
  ],
  // The broker collects acks for some milliseconds before it writes them: they can die with the process.
  'consume.acked': [
    { ...CONSUMER, step: inOneTransaction(), onDisk: (books) => expect(books.effects()).not.toEqual([]) },
  ],
  'consume.failed': [{ ...CONSUMER, step: inOneTransaction({ does: 'fail-1' }), onDisk: nothingOfTheHandling }],
  'consume.recorded': [
    {
      ...CONSUMER,
      step: inOneTransaction({ does: 'fail-1' }),
      onDisk: (books) => {
        const unacked = books.unacked('stock', 'orders.placed')
        const recorded = books.failures().filter(({ id, attempts }) => attempts === 1 && unacked.includes(id))
        expect(recorded).not.toEqual([])
      },
    },
  ],
  'retry.begun': [{ ...CONSUMER, step: inOneTransaction({ does: 'fail-1' }), onDisk: retryBegun(2) }],
  'retry.handled': [{ ...CONSUMER, step: inOneTransaction({ does: 'fail-1' }), onDisk: retryBegun(2) }],
  'retry.committed': [
    {
      ...CONSUMER,
      step: inOneTransaction({ does: 'fail-1' }),
      onDisk: (books) => {
        const retried = books.effects().filter(({ attempt }) => attempt === 2)
        expect(retried).not.toEqual([])
        expect(books.failures().filter(({ id }) => retried.some((effect) => effect.id === id))).toEqual([])
      },
    },
  ],
  'retry.failed': [{ ...CONSUMER, step: inOneTransaction({ does: 'fail-2' }), onDisk: retryBegun(2) }],
  'replay.requested': [
    {
      ...CONSUMER,
      settings: { consume: { retry: { maxAttempts: 1 } } },
      step: replayed,
      onDisk: (books) => {
        expect(books.failures()).toEqual([expect.objectContaining({ state: 'retrying', attempts: 1, begun: false })])
        expect(books.rows('stock', 'SELECT actor FROM tandem_audit')).not.toEqual([])
      },
    },
  ],
}
