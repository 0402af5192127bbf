import assert from 'node:assert/strict'
import { uuidv7 } from '../core/ids.ts'
import type {
  FailedAttempt,
  Fence,
  InboxMessage,
  NextStep,
  OutboxMessage,
  OutgoingMessage,
  ProcessInfo,
  RetryMessage,
  ShardFence,
  Store,
  StoreCapabilities,
} from '../spi/store.ts'
import type { ConformanceCase } from './case.ts'

/** A store to be examined, on a database of its own. Not open yet; its tables may be missing. */
export interface StoreFixture<Tx> {
  readonly store: Store<Tx>
  /** A second store on the same database with a connection of its own, as another process has. Undefined where that cannot be. */
  readonly sibling: Store<Tx> | undefined
  /** A store of the same kind on another database. */
  readonly stranger: Store<Tx>
  /**
   * Moves the clock that the store and its sibling see forward. Cases let days pass, and expect time to stand nearly still otherwise: it
   * must be a clock that can be set.
   */
  advance(ms: number): Promise<void>
  /** Removes what the fixture made. The stores are closed by then. */
  dispose(): Promise<void>
}

export interface StoreConformanceOptions<Tx> {
  /** Names the store in the areas of the cases. */
  readonly name: string
  /** What the store must say, and do, of itself. */
  readonly capabilities: StoreCapabilities
  /** Whether `make` gives siblings; without, two callers at the same moment are two callers of one store. */
  readonly siblings: boolean
  make(): Promise<StoreFixture<Tx>>
}

/** What a case works with: open stores with all tables. */
export interface StoreBench<Tx> extends StoreFixture<Tx> {
  /** Who comes at the same moment: the sibling, or the store itself where there is none. */
  readonly other: Store<Tx>
  /** Leases all shards for a long time and returns their fences. */
  lease(): Promise<readonly ShardFence[]>
  /** Writes messages in one transaction. */
  send(...messages: readonly OutgoingMessage[]): Promise<void>
  /** Everything in the outbox that `lease` covers. */
  unsent(): Promise<readonly OutboxMessage[]>
}

export type StoreCase<Tx> = (name: string, body: (bench: StoreBench<Tx>) => Promise<void>) => ConformanceCase

/** Longer than any case lets pass. */
const LONG = 86_400_000

export const RELAY: ProcessInfo = { id: uuidv7(), host: 'conformance', pid: 1 }
export const ACT = { by: 'conformance', reason: 'to see what happens' }

/** Makes cases of one area, each with stores of its own. */
export function storeCases<Tx>(options: StoreConformanceOptions<Tx>, part: string): StoreCase<Tx> {
  return (name, body) => ({ area: `${options.name}: ${part}`, name, run: () => runOnBench(options, body) })
}

async function runOnBench<Tx>(
  options: StoreConformanceOptions<Tx>,
  body: (bench: StoreBench<Tx>) => Promise<void>,
): Promise<void> {
  const fixture = await options.make()
  const { store, sibling, stranger } = fixture
  assert.equal(sibling !== undefined, options.siblings, 'make() gives a sibling exactly when `siblings` says so')
  const all = [store, stranger, ...(sibling === undefined ? [] : [sibling])]
  try {
    for (const one of all) await openWithTables(one)
    await body(benchOf(fixture))
  } finally {
    await Promise.all(all.map((one) => one.close()))
    await fixture.dispose()
  }
}

async function openWithTables<Tx>(store: Store<Tx>): Promise<void> {
  // A store whose tables are missing refuses to open and can be migrated then.
  await store.open({ service: 'conformance' }).catch(() => store.schema.migrate())
  await store.open({ service: 'conformance' })
}

function benchOf<Tx>(fixture: StoreFixture<Tx>): StoreBench<Tx> {
  const { store, sibling } = fixture
  const lease = (): Promise<readonly ShardFence[]> => leaseShards(store, RELAY, LONG)
  return {
    ...fixture,
    other: sibling ?? store,
    lease,
    send: (...messages) => store.transaction((tx) => store.outbox.insert(tx, messages)),
    unsent: async () => store.outbox.read(await lease(), 10_000),
  }
}

export async function leaseShards<Tx>(
  store: Store<Tx>,
  process: ProcessInfo,
  ttl: number,
): Promise<readonly ShardFence[]> {
  const names = Array.from({ length: store.capabilities.shards }, (_, shard) => `relay/${shard}`)
  const fences = await store.leases.exchange(process, [names], ttl)
  return names.flatMap((name, shard) => {
    const fence = fences.find((one) => one.name === name)
    return fence === undefined ? [] : [{ ...fence, shard }]
  })
}

/** Leases one name for a long time. */
export async function leaseOne<Tx>(store: Store<Tx>, process: ProcessInfo, name: string): Promise<Fence> {
  const fence = (await store.leases.exchange(process, [[name]], LONG)).find((one) => one.name === name)
  assert.ok(fence, `the lease ${name} is free and wanted by ${process.id} alone`)
  return fence
}

export function outgoing(key?: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const id = more.id ?? uuidv7()
  return {
    id,
    type: 'conformance.happened',
    topic: 'conformance',
    key,
    headers: { 'ce-id': id, 'ce-source': 'conformance', 'ce-time': '2026-01-02T03:04:05.678Z', note: 'ü "quoted" \n' },
    body: new TextEncoder().encode(`{"id":"${id}"}`),
    deliverAt: undefined,
    strictOrder: false,
    ...more,
  }
}

export function incoming(key?: string, more: Partial<InboxMessage> = {}): InboxMessage {
  const id = more.id ?? uuidv7()
  const { topic, type, headers, body } = outgoing(key, { id })
  return {
    id,
    topic,
    type,
    headers,
    body,
    key,
    source: 'conformance',
    sentAt: 1_767_323_045_678,
    causationId: undefined,
    correlationId: id,
    ...more,
  }
}

export const FAILED: FailedAttempt = { error: 'Error: no\nand why', stack: 'at here', process: 'host:1' }
export const RETRY_NOW: NextStep = { state: 'retrying', delay: 0 }
export const DEAD: NextStep = { state: 'dead', reason: 'not-retryable' }

/** The message as the next due retry of its group. */
export async function dueRetry<Tx>(store: Store<Tx>, group: string, id: string): Promise<RetryMessage> {
  const { due } = await store.inbox.due([group], 1000)
  const retry = due.find((one) => one.id === id)
  assert.ok(retry, `message ${id} is due in ${group}; due are ${due.map((one) => one.id).join(', ') || 'none'}`)
  return retry
}

/** A retry that succeeds. */
export async function retryWell<Tx>(store: Store<Tx>, group: string, id: string): Promise<void> {
  const due = await dueRetry(store, group, id)
  const version = await store.inbox.beginRetry(due, 'host:1', 60_000)
  assert.ok(version !== undefined)
  assert.ok(await store.transaction((tx) => store.inbox.completeRetry(tx, { ...due, version })))
}

export function ids(messages: readonly { readonly id: string }[]): string[] {
  return messages.map(({ id }) => id)
}

/** Ends a transaction without a commit. */
export class RollBack extends Error {}

/** Runs `work` in a transaction that is rolled back. */
export async function rolledBack<Tx>(store: Store<Tx>, work: (tx: Tx) => Promise<unknown>): Promise<void> {
  const undone = store.transaction(async (tx) => {
    await work(tx)
    throw new RollBack()
  })
  await assert.rejects(undone, RollBack)
}

export interface OpenTransaction {
  commit(): Promise<void>
  rollBack(): Promise<void>
}

/** Runs `work` in a transaction and keeps it open. */
export async function holdOpen<Tx>(store: Store<Tx>, work: (tx: Tx) => Promise<unknown>): Promise<OpenTransaction> {
  const begun = Promise.withResolvers<void>()
  const end = Promise.withResolvers<void>()
  const ended = store.transaction(async (tx) => {
    await work(tx)
    begun.resolve()
    await end.promise
  })
  ended.catch(begun.reject)
  await begun.promise
  return {
    commit: async () => {
      end.resolve()
      await ended
    },
    rollBack: async () => {
      end.reject(new RollBack())
      await assert.rejects(ended, RollBack)
    },
  }
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
