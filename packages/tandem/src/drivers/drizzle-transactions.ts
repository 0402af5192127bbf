import { AsyncLocalStorage } from 'node:async_hooks'

/** A database of drizzle, or a transaction in one. */
export interface DrizzleSession {
  transaction: (work: (tx: DrizzleSession) => unknown, ...options: unknown[]) => unknown
}

/** One transaction of drizzle, or a savepoint in one. */
export interface FollowedTransaction {
  /** The outermost transaction. */
  readonly root: DrizzleSession
  /** What the outermost transaction runs on: a client of the library below, or what its `begin` has given. */
  readonly connection: object | undefined
  /** Whether its work, and that of all around it, still runs. */
  isOpen(): boolean
}

/** Between the begin of a transaction in drizzle and the moment when drizzle asks the library below for a connection. */
interface Slot {
  readonly source: object
  /** What drizzle gets, instead of a connection that it would begin a transaction on. */
  readonly given: object | undefined
  /** What the transaction is on. */
  connection: object | undefined
  isTaken: boolean
}

const slots = new AsyncLocalStorage<Slot>()
const followed = new WeakMap<object, FollowedTransaction>()

/** What is known of an object that a followed database has handed to a callback. */
export function followedOf(candidate: object): FollowedTransaction | undefined {
  return followed.get(candidate)
}

type Transaction = DrizzleSession['transaction']

const originals = new WeakMap<object, Transaction>()

/**
 * Follows the transactions of a database of drizzle, by replacing its `transaction` by a function that does the same. Nothing in drizzle
 * tells whether a transaction is still open, and a statement on one that has ended is run on its connection all the same.
 *
 * @param source what drizzle takes its connections from, which one of the functions below has been called for
 */
export function followTransactions(db: DrizzleSession, source: object): void {
  if (originals.has(db)) return
  const original = db.transaction.bind(db)
  originals.set(db, original)
  db.transaction = (work, ...options) =>
    begin(original, { source, given: undefined, connection: undefined }, work, options)
}

/**
 * Has drizzle run `work` in a transaction object on a connection of which a transaction is open already.
 *
 * @returns what drizzle's `transaction` does
 */
export function withinConnection(
  db: DrizzleSession,
  how: Pick<Slot, 'source' | 'given' | 'connection'>,
  work: (tx: DrizzleSession) => unknown,
): unknown {
  const original = originals.get(db) ?? db.transaction.bind(db)
  return begin(original, how, work, [])
}

function begin(
  transaction: Transaction,
  how: Pick<Slot, 'source' | 'given' | 'connection'>,
  work: (tx: DrizzleSession) => unknown,
  options: unknown[],
): unknown {
  const slot: Slot = { ...how, isTaken: false }
  return slots.run(slot, () =>
    transaction((tx) => run(tx, { root: tx, connection: slot.connection, around: () => true }, work), ...options),
  )
}

interface Place {
  readonly root: DrizzleSession
  readonly connection: object | undefined
  /** Whether what it is in is open. */
  around(): boolean
}

/** Runs the work of a transaction or of a savepoint, and knows when it ends. */
function run(tx: DrizzleSession, { root, connection, around }: Place, work: (tx: DrizzleSession) => unknown): unknown {
  let isOpen = true
  const state: FollowedTransaction = { root, connection, isOpen: () => isOpen && around() }
  followed.set(tx, state)
  const nested = tx.transaction.bind(tx)
  tx.transaction = (inner, ...options) =>
    nested((savepoint) => run(savepoint, { root, connection, around: state.isOpen }, inner), ...options)
  const end = (): void => {
    isOpen = false
  }
  let result: unknown
  try {
    result = work(tx)
  } catch (error) {
    end()
    throw error
  }
  if (typeof (result as Partial<PromiseLike<unknown>> | undefined)?.then === 'function') {
    return (result as Promise<unknown>).finally(end)
  }
  end()
  return result
}

const lending = new WeakSet()

/** The slot of the transaction that asks `source` for its connection now, if one does. */
function slotFor(source: object): Slot | undefined {
  const slot = slots.getStore()
  if (slot === undefined || slot.isTaken || slot.source !== source) return undefined
  slot.isTaken = true
  return slot
}

/** Has a pool give drizzle the connection that is meant for it, and learns which one it gave. */
export function lendFrom(pool: object, method: string): void {
  if (lending.has(pool)) return
  lending.add(pool)
  const methods = pool as Record<string, (...args: unknown[]) => unknown>
  const connect = methods[method]!.bind(pool)
  methods[method] = (...args) => {
    // With a callback it is the pool's own call.
    const slot = typeof args[0] === 'function' ? undefined : slotFor(pool)
    if (slot === undefined) return connect(...args)
    if (slot.given !== undefined) return Promise.resolve(slot.given)
    return (connect(...args) as Promise<object>).then((connection) => {
      slot.connection = connection
      return connection
    })
  }
}

/** The same for a pool whose method takes a callback, as mysql2 has it below its promises. */
export function lendToCallback(pool: object, method: string): void {
  if (lending.has(pool)) return
  lending.add(pool)
  type Callback = (error: unknown, connection: object) => unknown
  const methods = pool as Record<string, (callback: Callback) => unknown>
  const connect = methods[method]!.bind(pool)
  methods[method] = (callback) => {
    const slot = slotFor(pool)
    if (slot === undefined) return connect(callback)
    const { given } = slot
    if (given !== undefined) return process.nextTick(callback, null, given)
    return connect((error, connection) => {
      slot.connection = connection
      return callback(error, connection)
    })
  }
}

/** Has better-sqlite3 begin no transaction where one is open already. */
export function lendTransaction(client: object): void {
  if (lending.has(client)) return
  lending.add(client)
  type Work = (...args: unknown[]) => unknown
  const methods = client as { transaction: (work: Work) => unknown }
  const original = methods.transaction.bind(client)
  methods.transaction = (work) => {
    const slot = slotFor(client)
    if (slot?.given === undefined) return original(work)
    const bare: Work = (...args) => work(...args)
    return Object.assign(bare, { default: bare, deferred: bare, immediate: bare, exclusive: bare })
  }
}

/** The same for a library that runs a callback on its connections, as postgres.js does. */
export function lendBegin(instance: object): void {
  if (lending.has(instance)) return
  lending.add(instance)
  const methods = instance as { begin: (...args: unknown[]) => Promise<unknown> }
  const original = methods.begin
  methods.begin = (...args) => {
    const slot = slotFor(instance)
    if (slot === undefined) return original(...args)
    const work = args.pop() as (connection: object) => unknown
    const { given } = slot
    if (given !== undefined) return Promise.resolve().then(() => work(given))
    return original(...args, (connection: object) => {
      slot.connection = connection
      return work(connection)
    })
  }
}
