import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAdmin, type Admin } from '../../../src/admin/index.ts'
import type { DeadReason } from '../../../src/core/inbox-state.ts'
import { toHeaders } from '../../../src/core/wire.ts'
import { nodeSqlite, type NodeSqliteTransaction } from '../../../src/drivers/node-sqlite.ts'
import type { InboxMessage, OutgoingMessage, ShardFence, Store } from '../../../src/spi/store.ts'
import { sqlite } from '../../../src/stores/sqlite/index.ts'

/** Where every database's clock stands still. */
export const NOW: number = Date.parse('2026-03-01T12:00:00Z')
/** In payloads, at a sensitive path. It must turn up nowhere. */
export const SECRET = '4111-1111-1111-1111'

export const ACT = { by: 'kim', reason: 'a test' }

export type TestStore = Store<NodeSqliteTransaction>

export function id(n: number): string {
  return `01930000-0000-7000-8000-${String(n).padStart(12, '0')}`
}

export interface Sent {
  readonly id: string
  readonly type?: string
  readonly key?: string
  readonly source?: string
  readonly payload?: unknown
  readonly body?: Uint8Array
  readonly sensitive?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  readonly contentType?: string
  readonly causationId?: string
  /** Milliseconds before `NOW`. */
  readonly ago?: number
}

export function messageOf(sent: Sent): InboxMessage & OutgoingMessage {
  const { type = 'orders.placed', key, source = 'order', payload = { orderId: 'o-1' }, ago = 60_000 } = sent
  const headers = toHeaders({
    id: sent.id,
    type,
    source,
    time: new Date(NOW - ago),
    key,
    contentType: sent.contentType ?? 'application/json',
    causationId: sent.causationId,
    correlationId: id(1),
    sensitive: sent.sensitive ?? [],
    plainHeaders: sent.headers ?? {},
  })
  return {
    id: sent.id,
    type,
    topic: type,
    key,
    headers,
    body: sent.body ?? new TextEncoder().encode(JSON.stringify(payload)),
    source,
    sentAt: NOW - ago,
    causationId: sent.causationId,
    correlationId: id(1),
    deliverAt: undefined,
    strictOrder: false,
  }
}

export async function dead(
  store: TestStore,
  group: string,
  sent: Sent,
  options: { readonly error?: string; readonly reason?: DeadReason; readonly ordered?: boolean } = {},
): Promise<void> {
  const { error = 'Error: boom', reason = 'attempts-exhausted', ordered = false } = options
  const attempt = { error, stack: `${error}\n    at handle (handler.ts:1:1)`, process: 'host:1' }
  await store.inbox.recordFailure(group, messageOf(sent), attempt, { state: 'dead', reason }, ordered)
}

export async function handled(store: TestStore, group: string, sent: Sent): Promise<void> {
  await store.transaction(async (tx) => void (await store.inbox.begin(tx, group, [messageOf(sent)], false)))
}

export async function unsent(store: TestStore, sent: Sent): Promise<void> {
  await store.transaction((tx) => store.outbox.insert(tx, [messageOf(sent)]))
}

/** Puts a message into the outbox and takes it out of the relay's way. */
export async function held(
  store: TestStore,
  sent: Sent,
  state: 'waiting' | 'unsendable',
  error = 'refused',
): Promise<void> {
  await unsent(store, sent)
  const fences = await shardFences(store)
  const found = (await store.outbox.read(fences, 1000)).find((message) => message.id === sent.id)!
  await store.outbox.hold(fences, [{ position: found.position, state, delay: 5000, error }])
}

export async function prepared(store: TestStore, sent: Sent, { barrier = false } = {}): Promise<void> {
  await store.half.prepare(messageOf(sent), { barrier, firstCheckIn: 6000 })
}

export async function undecided(store: TestStore, sent: Sent): Promise<void> {
  await prepared(store, sent)
  const [fence] = await store.leases.exchange(PROCESS, [['checker']], 10_000)
  const schedule = { transactionTimeOut: 6000, transactionCheckInterval: 30_000, transactionCheckMax: 1 }
  await store.half.recordUnknown(fence!, sent.id, schedule, 'Error: the legacy system is down')
}

const PROCESS = { id: id(999), host: 'host', pid: 1 }

async function shardFences(store: TestStore): Promise<ShardFence[]> {
  const names = Array.from({ length: store.capabilities.shards }, (_, shard) => `outbox.${shard}`)
  const fences = await store.leases.exchange(PROCESS, [names], 10_000)
  return fences.flatMap((fence) => {
    const shard = names.indexOf(fence.name)
    return shard === -1 ? [] : [{ ...fence, shard }]
  })
}

export interface World {
  readonly folder: string
  readonly order: TestStore
  readonly stock: TestStore
  readonly admin: Admin
  close(): Promise<void>
}

export function storeAt(file: string, options: { migrate?: boolean } = {}): TestStore {
  return sqlite(nodeSqlite(file), { ...options, clock: String(NOW) })
}

/** Two services with empty databases in a folder of their own. */
export async function emptyWorld({ migrated = true } = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-admin-'))
  const [order, stock] = [storeAt(join(folder, 'order.db')), storeAt(join(folder, 'stock.db'))]
  const admin = createAdmin({
    stores: [
      { service: 'order', store: order },
      { service: 'stock', store: stock },
    ],
  })
  if (migrated) await admin.schema.migrate()
  return {
    folder,
    order,
    stock,
    admin,
    async close() {
      await admin.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
