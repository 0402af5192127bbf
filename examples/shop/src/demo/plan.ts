/** What will be ordered and what will go wrong, all of it drawn from the seed before anything starts. */
import type { CrashPoint } from 'tandem/testing'
import type { Order } from '../messages.ts'
import { serversOf, type ServerKind } from './layouts.ts'
import type { DemoOptions } from './options.ts'
import { SERVICES, type ServiceName } from '../services.ts'
import { seededRandom, type SeededRandom } from './random.ts'

/** The article that the stock has never heard of, until somebody adds it. */
export const UNKNOWN_ARTICLE = 'teapot'

export interface Plan {
  readonly orders: readonly Order[]
  readonly articles: ReadonlyMap<string, number>
  readonly accounts: ReadonlyMap<string, number>
  /** Orders of the unknown article: poison for the stock service. */
  readonly poison: readonly Order[]
  /** The order that is placed with a half message. */
  readonly half: Order
  /** Orders that the customer sends back as soon as they are completed. */
  readonly sentBack: ReadonlySet<string>
  /** In the order in which they come. */
  readonly kills: readonly Kill[]
  /** Database servers that are killed, in the order in which it happens. */
  readonly serverKills: readonly ServerKill[]
  /** For each place in `orders`, how many copies of earlier messages are delivered then. */
  readonly duplicates: readonly number[]
  /** Milliseconds from one order to the next. */
  readonly pace: number
}

export interface Kill {
  readonly service: ServiceName
  /** How many orders have been placed when it comes. */
  readonly afterOrders: number
  /** How the process dies next time: at this point, when it comes there for the nth time. Undefined: no such plan. */
  readonly thenAt: { readonly point: CrashPoint; readonly nth: number } | undefined
}

interface ServerKill {
  readonly server: ServerKind
  /** How many orders have been placed when it comes. */
  readonly afterOrders: number
}

/** Cents. */
const PRICES = { cup: 450, kettle: 3_990, lamp: 7_250, plate: 620, rug: 12_900 } as const
const SCARCE = 'rug'
const ACCOUNTS = Array.from({ length: 12 }, (_, i) => `customer-${String(i + 1).padStart(2, '0')}`)

const POINTS_OF_CONSUMERS = [
  'consume.begun',
  'consume.handled',
  'consume.committed',
  'consume.acked',
  'relay.read',
  'relay.published',
  'relay.removed',
] as const satisfies CrashPoint[]

export function makePlan({ orders: count, seed, faults, ...options }: DemoOptions): Plan {
  const random = seededRandom(seed)
  const orders = Array.from({ length: count }, (_, i) => makeOrder(random, i, count))
  const half = orders[Math.floor(count * 0.4)]!
  for (const share of faults === 'all' ? [0.1, 0.2, 0.3] : []) {
    const at = Math.floor(count * share)
    if (orders[at] !== half) orders[at] = { ...orders[at]!, sku: UNKNOWN_ARTICLE }
  }
  // Trouble takes time to be seen.
  const seconds = Math.max(faults === 'none' ? 0.2 : 4, Math.min(count / 50, 20), count / 100)
  return {
    orders,
    half,
    poison: orders.filter(({ sku }) => sku === UNKNOWN_ARTICLE),
    articles: demandOf(orders, 'sku', 'quantity', (sku) => (sku === SCARCE ? 0.7 : 1.2)),
    // Some customers have ordered for more than they have.
    accounts: demandOf(orders, 'account', 'amount', (account) => (ACCOUNTS.indexOf(account) < 2 ? 0.6 : 1.1)),
    sentBack: new Set(orders.filter(() => random.next() < 0.04).map(({ orderId }) => orderId)),
    kills: faults === 'none' ? [] : planKills(random, count, seconds),
    // A server that is not the demo's is never killed.
    serverKills:
      faults === 'all'
        ? planServerKills(
            random,
            count,
            serversOf(options.database).filter((kind) => options[kind] === undefined),
          )
        : [],
    duplicates: orders.map(() => (faults === 'all' && random.next() < 0.1 ? random.between(1, 3) : 0)),
    pace: (seconds * 1000) / count,
  }
}

function makeOrder(random: SeededRandom, index: number, count: number): Order {
  const sku = random.pick(Object.keys(PRICES) as (keyof typeof PRICES)[])
  const quantity = random.between(1, 3)
  const orderId = `order-${String(index + 1).padStart(Math.max(4, String(count).length), '0')}`
  return { orderId, sku, quantity, amount: PRICES[sku] * quantity, account: random.pick(ACCOUNTS) }
}

/** What is needed of each if every order were to succeed, times what `share` says. */
function demandOf(
  orders: readonly Order[],
  by: 'sku' | 'account',
  what: 'quantity' | 'amount',
  share: (name: string) => number,
): ReadonlyMap<string, number> {
  const demand = new Map<string, number>()
  for (const order of orders) demand.set(order[by], (demand.get(order[by]) ?? 0) + order[what])
  return new Map([...demand].map(([name, sum]) => [name, Math.ceil(sum * share(name))]))
}

/** About one and a half a second, spread over the run, each service in turn but in no fixed order. */
function planKills(random: SeededRandom, count: number, seconds: number): Kill[] {
  const total = Math.round(seconds * 1.2)
  const victims: ServiceName[] = []
  while (victims.length < total) victims.push(...random.shuffle(SERVICES))
  return Array.from({ length: total }, (_, i) => {
    const service = victims[i]!
    const points: readonly CrashPoint[] =
      service === 'order' ? [...POINTS_OF_CONSUMERS, 'send.inserted', 'send.inserted'] : POINTS_OF_CONSUMERS
    const point = random.pick(points)
    const nth = random.between(1, 12)
    return {
      service,
      afterOrders: Math.floor(((i + random.next()) / total) * count * 0.95),
      thenAt: random.next() < 0.5 ? { point, nth } : undefined,
    }
  })
}

/** Each server dies once before the half message, which is nobody else's business, and once after it. */
function planServerKills(random: SeededRandom, count: number, servers: readonly ServerKind[]): ServerKill[] {
  const kills = servers.flatMap((server) =>
    [0.1, 0.55].map((from) => ({ server, afterOrders: Math.floor(count * (from + random.next() * 0.25)) })),
  )
  return kills.toSorted((a, b) => a.afterOrders - b.afterOrders)
}
