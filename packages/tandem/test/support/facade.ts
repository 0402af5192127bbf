import type { DatabaseSync } from 'node:sqlite'
import { memory, type MemoryBroker } from '../../src/brokers/memory/index.ts'
import { systemClock, type Clock } from '../../src/core/clock.ts'
import type { TandemEvent, TandemEvents } from '../../src/core/events.ts'
import type { Draft } from '../../src/core/message.ts'
import { toHeaders, type WireMessage } from '../../src/core/wire.ts'
import type { TandemOptions } from '../../src/options.ts'
import { createTandem, type Tandem } from '../../src/tandem.ts'
import { rows, testDatabase, type TestStore, type Tx } from './store.ts'

export interface Service {
  readonly tandem: Tandem<Tx>
  readonly db: DatabaseSync
  readonly store: TestStore
  readonly broker: MemoryBroker
  /** What was logged for people. */
  readonly log: string[]
  /** The events of this name so far. */
  readonly of: <E extends TandemEvent>(name: E) => TandemEvents[E][]
  /** Resolves when there have been so many events of this name; to the last of them. */
  readonly reached: <E extends TandemEvent>(name: E, count?: number) => Promise<TandemEvents[E]>
  /** Sends in a transaction of its own. */
  readonly send: (drafts: Draft | readonly Draft[]) => Promise<void>
  /** Puts something into the broker that no Tandem has sent. */
  readonly publish: (...messages: WireMessage[]) => Promise<void>
  /** A published message as it is in the broker. */
  readonly copyOf: (id: string) => Promise<WireMessage>
}

const OBSERVED: readonly TandemEvent[] = [
  'message.published',
  'message.handled',
  'message.duplicate',
  'message.failed',
  'message.blocked',
  'message.dead',
  'loop.failed',
  'warning',
]

/** Real time, but for loops that wait for nothing in particular: those look again soon. */
const impatient: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal) }

/** A service on a database and a broker in memory, in real time, not yet open. Its database has a table `effects (n, note)`. */
export async function service(options: Partial<TandemOptions<Tx>> = {}): Promise<Service> {
  const { db, store } = await testDatabase(() => Date.now())
  db.exec('CREATE TABLE effects (n INTEGER, note TEXT)')
  const broker = memory()
  const log: string[] = []
  const tandem = createTandem({
    service: 'order',
    store,
    broker,
    clock: impatient,
    log: { warn: (line) => log.push(line), error: (line) => log.push(line) },
    ...options,
  })
  const seen = new Map<TandemEvent, unknown[]>(OBSERVED.map((name) => [name, []]))
  let changed = Promise.withResolvers<void>()
  for (const name of OBSERVED) {
    tandem.on(name, (event) => {
      seen.get(name)?.push(event)
      changed.resolve()
      changed = Promise.withResolvers()
    })
  }
  const of = <E extends TandemEvent>(name: E): TandemEvents[E][] => {
    const events = seen.get(name)
    if (events === undefined) throw new Error(`${name} is not observed`)
    return events as TandemEvents[E][]
  }
  return {
    tandem,
    db,
    store,
    broker,
    log,
    of,
    reached: async (name, count = 1) => {
      while (of(name).length < count) await changed.promise
      return of(name)[count - 1] as TandemEvents[typeof name]
    },
    send: (drafts) => tandem.transaction((tx) => tandem.send(tx, drafts)),
    publish: async (...messages) => {
      await broker.publish(messages, { signal: new AbortController().signal })
    },
    copyOf: async (id) => {
      const found = await broker.find?.(id)
      if (found === undefined) throw new Error(`the broker has no message ${id}`)
      return found.message
    },
  }
}

/** How many rows each of Tandem's tables of messages has; those without any are left out. */
export function written(db: DatabaseSync): Record<string, number> {
  const tables = ['outbox', 'outbox_held', 'half', 'barrier', 'inbox', 'inbox_failure', 'inbox_attempt']
  const counts = tables.map((table): [string, number] => [
    table,
    rows<{ n: number }>(db, `SELECT count(*) AS n FROM tandem_${table}`)[0]?.n ?? 0,
  ])
  return Object.fromEntries(counts.filter(([, count]) => count > 0))
}

export function effects(db: DatabaseSync): { n: number; note: string }[] {
  return rows<{ n: number; note: string }>(db, 'SELECT n, note FROM effects ORDER BY rowid').map((row) => ({ ...row }))
}

/** Writes an effect in the transaction of a handler. */
export function effect(tx: Tx, n: number, note = ''): void {
  tx.prepare('INSERT INTO effects (n, note) VALUES (?, ?)').run(n, note)
}

/** As `service`, registered by `register` and started. */
export async function running(
  register: (tandem: Tandem<Tx>, kit: Service) => void,
  options?: Partial<TandemOptions<Tx>>,
): Promise<Service & AsyncDisposable> {
  const kit = await service(options)
  register(kit.tandem, kit)
  await kit.tandem.start()
  return { ...kit, [Symbol.asyncDispose]: () => kit.tandem.stop() }
}

/** The states of all messages in the inbox, by name. */
export function inboxStates(db: DatabaseSync): string[] {
  return rows<{ state: string }>(db, 'SELECT state FROM tandem_inbox ORDER BY state').map(({ state }) => state)
}

/** The failed attempts of all messages. */
export function failedAttempts(db: DatabaseSync): { attempt: number; error: string; stack: string }[] {
  return rows(db, 'SELECT attempt, error, stack FROM tandem_inbox_attempt ORDER BY attempt')
}

/** A message as another sender may put it into the topic `placed`. */
export function foreign(headers: Record<string, string>, body = '{"n":1}', key?: string): WireMessage {
  const all = toHeaders({
    id: '01900000-0000-7000-8000-000000000001',
    type: 'placed',
    source: 'other',
    time: new Date(0),
    key,
    contentType: 'application/json',
    causationId: undefined,
    correlationId: 'c',
    sensitive: [],
    plainHeaders: {},
  })
  return { topic: 'placed', key, headers: { ...all, ...headers }, body: new TextEncoder().encode(body) }
}
