import { TandemError } from '../core/errors.ts'
import { checkNumber } from '../core/limits.ts'
import { readEnvelope } from '../core/wire.ts'
import type { TraceRow } from '../spi/admin-store.ts'
import type { BrokerTrace } from '../spi/broker.ts'
import type { AdminService, Services } from './services.ts'
import { problemOf, type Problem } from './status.ts'
import { instant, type TraceNode, type TracePlace } from './views.ts'

export interface TraceOptions {
  /** Messages after which the search ends. Default 500. */
  readonly limit?: number | undefined
}

export interface TraceView {
  readonly root: TraceNode
  /** Number of messages in the tree. */
  readonly messages: number
  /** Whether there may be more than the limit let in. */
  readonly truncated: boolean
  /** Stores and brokers that could not be asked; what they know is missing. */
  readonly unavailable: readonly {
    readonly service: string
    readonly part: 'store' | 'broker'
    readonly problem: Problem
  }[]
}

type Facts = Omit<TraceNode, 'places' | 'caused'>

interface Found {
  facts: Facts
  readonly places: Map<string, TracePlace>
}

/**
 * What became of a message and of those it caused, over all services: a message is sent in one, handled in another, and what that one
 * sends is known to a third, so the search goes on from each message that it finds.
 */
export async function trace(services: Services, id: string, options: TraceOptions = {}): Promise<TraceView> {
  const limit = checkNumber('limit', options.limit, { min: 1, max: 10_000, integer: true, default: 500 })
  const found = new Map<string, Found>()
  const unavailable = new Map<string, TraceView['unavailable'][number]>()
  // A store looks for all that a message caused, as far as it knows; what it has answered once it need not be asked again.
  const covered = new Map(services.all.map((entry) => [entry, new Set<string>()]))
  const queue = [id]
  const queued = new Set(queue)
  let asked = 0
  while (asked < queue.length && asked < limit) {
    const current = queue[asked++]!
    for (const entry of services.all) {
      const attempt = async (part: 'store' | 'broker', work: () => Promise<void>): Promise<void> => {
        const name = `${entry.service} ${part}`
        if (unavailable.has(name)) return
        try {
          await work()
        } catch (error) {
          unavailable.set(name, { service: entry.service, part, problem: problemOf(error) })
        }
      }
      await attempt('store', () => askStore(services, entry, current, found, covered.get(entry)!))
      await attempt('broker', () => askBroker(services, entry, current, found))
    }
    for (const each of found.keys()) {
      if (queued.has(each)) continue
      queued.add(each)
      queue.push(each)
    }
  }
  if (found.size === 0) {
    if (unavailable.size > 0)
      throw new TandemError('NOT_FOUND', `message ${id} was not found, and ${gaps(unavailable)}`)
    throw new TandemError('NOT_FOUND', `message ${id} is not known here; its records may have expired`)
  }
  const { root, messages } = treeOf(id, found, new Set(queue.slice(0, asked)))
  return { root, messages, truncated: asked < queue.length, unavailable: [...unavailable.values()] }
}

async function askStore(
  services: Services,
  entry: AdminService,
  id: string,
  found: Map<string, Found>,
  covered: Set<string>,
): Promise<void> {
  if (covered.has(id)) return
  const rows = await (await services.store(entry)).admin.trace(id)
  for (const row of rows) {
    covered.add(row.id)
    const place = placeOf(entry.service, row)
    entryOf(found, factsOf(row)).places.set(JSON.stringify(place), place)
  }
}

async function askBroker(
  services: Services,
  entry: AdminService,
  id: string,
  found: Map<string, Found>,
): Promise<void> {
  const broker = await services.broker(entry)
  const trail = await broker?.find?.(id)
  if (broker === undefined || trail === undefined) return
  const place: TracePlace = {
    kind: 'broker',
    broker: broker.name,
    at: instant(trail.publishedAt),
    groups: trail.groups,
  }
  // Several services are on one broker, and each finds the same.
  entryOf(found, brokerFacts(id, trail)).places.set(JSON.stringify(place), place)
}

function brokerFacts(id: string, { message }: BrokerTrace): Facts {
  try {
    const envelope = readEnvelope(message)
    return factsOf({ ...envelope, id, sentAt: envelope.time.getTime() })
  } catch {
    // Not a CloudEvent; what the broker itself knows is all there is.
    return { ...UNKNOWN, id, topic: message.topic, key: message.key ?? null }
  }
}

function entryOf(found: Map<string, Found>, facts: Facts): Found {
  const known = found.get(facts.id)
  if (known !== undefined) {
    if (known.facts.type === null) known.facts = facts
    return known
  }
  const entry = { facts, places: new Map<string, TracePlace>() }
  found.set(facts.id, entry)
  return entry
}

const UNKNOWN = {
  type: null,
  topic: null,
  key: null,
  source: null,
  sentAt: null,
  causationId: null,
  correlationId: null,
}

function factsOf(row: Omit<TraceRow, 'place'>): Facts {
  return {
    id: row.id,
    type: row.type,
    topic: row.topic,
    key: row.key ?? null,
    source: row.source,
    sentAt: instant(row.sentAt),
    causationId: row.causationId ?? null,
    correlationId: row.correlationId,
  }
}

function placeOf(service: string, { place }: TraceRow): TracePlace {
  const at = instant(place.at)
  switch (place.kind) {
    case 'half':
      return { kind: 'half', service, state: place.state, at }
    case 'outbox':
      return { kind: 'outbox', service, state: place.state, at, error: place.error ?? null }
    case 'inbox': {
      const attempts = place.attempts.map((attempt) => ({ ...attempt, at: instant(attempt.at) }))
      return { kind: 'inbox', service, group: place.group, state: place.state, at, attempts }
    }
  }
}

/** In the order in which a message passes them. */
const PLACE_ORDER = ['half', 'outbox', 'broker', 'inbox']

function treeOf(
  rootId: string,
  found: ReadonlyMap<string, Found>,
  within: ReadonlySet<string>,
): { root: TraceNode; messages: number } {
  const children = new Map<string, Found[]>()
  for (const each of found.values()) {
    const cause = each.facts.causationId
    if (cause !== null && within.has(each.facts.id)) children.set(cause, [...(children.get(cause) ?? []), each])
  }
  // A message that names itself as its cause, directly or not, must not make the tree endless.
  const seen = new Set<string>()
  const build = (id: string): TraceNode => {
    seen.add(id)
    const at = found.get(id)
    const caused = (children.get(id) ?? [])
      .filter((child) => !seen.has(child.facts.id))
      .toSorted((a, b) => compare(sortKey(a), sortKey(b)))
    const places = [...(at?.places.values() ?? [])].toSorted(
      (a, b) => PLACE_ORDER.indexOf(a.kind) - PLACE_ORDER.indexOf(b.kind) || compare(a.at, b.at),
    )
    return { ...(at?.facts ?? { id, ...UNKNOWN }), places, caused: caused.map((child) => build(child.facts.id)) }
  }
  return { root: build(rootId), messages: seen.size }
}

function sortKey({ facts }: Found): string {
  return `${facts.sentAt ?? ''} ${facts.id}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function gaps(unavailable: ReadonlyMap<string, TraceView['unavailable'][number]>): string {
  const parts = [...unavailable.values()].map(
    ({ service, part, problem }) => `the ${part} of ${service}: ${problem.message}`,
  )
  return `could not ask ${parts.join('; ')}`
}
