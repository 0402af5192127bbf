import type { CheckSchedule, HalfAnswer, HalfDecision, HalfState } from '../core/half-state.ts'
import type { DeadReason, InboxState } from '../core/inbox-state.ts'
import type { WireMessage } from '../core/wire.ts'
import type { AdminSteps } from './admin-store.ts'
import type { Dialect, FailureKind, OpenContext, TransactionOptions } from './driver.ts'

/**
 * The seam to a database. A store speaks in named, atomic steps; each says in its comment what happens when two processes take it at
 * the same moment. Steps that take a `tx` run inside that transaction; the others are one transaction of their own. All instants that
 * a store writes or compares come from the database's clock; callers pass durations in milliseconds.
 */
export interface Store<Tx> {
  /** For messages to people, for example `sqlite on node-sqlite`. */
  readonly name: string
  readonly dialect: Dialect
  readonly capabilities: StoreCapabilities

  /**
   * Opens the driver and checks the schema (or migrates it, where the store was told to). Idempotent.
   *
   * @param context.migrate false: only check, even where the store was told to migrate; for those who look and do not run the service
   * @throws TandemError `SCHEMA_OUTDATED` or `SCHEMA_TOO_NEW`; the driver is open then, and `schema` can be used
   */
  open(context: OpenContext & { readonly migrate?: false }): Promise<void>
  close(): Promise<void>

  transaction<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>

  /**
   * Returns when `candidate` is an open transaction of this store.
   *
   * @throws TandemError `TRANSACTION_INVALID` or `TRANSACTION_ENDED`
   */
  checkTransaction(candidate: unknown): void

  /** What a failure of a statement, or of a transaction, says about the database; of the driver. */
  classify(error: unknown): FailureKind

  /** Of the driver, and of the store's own. A service tells them when it starts, as the event `warning`. */
  warnings?(): readonly string[]

  readonly schema: SchemaSteps
  readonly outbox: OutboxSteps<Tx>
  readonly half: HalfSteps<Tx>
  readonly inbox: InboxSteps<Tx>
  readonly leases: LeaseSteps
  readonly admin: AdminSteps
}

export interface StoreCapabilities {
  /** Whether two transactions of one process can be open at the same time. */
  readonly concurrentTransactions: boolean
  /** As the driver's. `outbox.insert` is sent before it returns then, if it is of few messages. Default false. */
  readonly pipelining?: boolean
  /** Number of shards of the outbox; fixed for the life of a database. */
  readonly shards: number
}

// ── schema ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Migration {
  readonly version: number
  readonly name: string
  /** All of it, with the row that says that it was applied: a person may apply it by hand, in one transaction. */
  readonly sql: string
}

export interface SchemaStatus {
  /** Highest version that is applied; 0 for none. */
  readonly version: number
  /** Highest version that this package knows. */
  readonly latest: number
  readonly pending: readonly Migration[]
  /** What differs between the tables that are there and those that should be, in words. */
  readonly drift: readonly string[]
}

export interface SchemaSteps {
  status(): Promise<SchemaStatus>
  /**
   * Applies what is pending, in order. Safe when many processes do it at once: each migration is applied by one of them, and the others
   * find it done. Where the database locks tables, it waits for such a lock only so long that nobody who queues behind it notices, gives
   * way, and tries again.
   *
   * @param options.to the version to come to; default: the latest. The stores share `wantedOf` for it
   * @returns what this call has applied
   * @throws TandemError `CONFIG_INVALID` when there is no such version or the tables are past it; `STORE_BUSY` when tables were in use all
   * the time; what is applied by then stays applied
   */
  migrate(options?: { readonly to?: number | undefined }): Promise<readonly Migration[]>
}

// ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Proof that a lease was held when it was handed out. A step that gets one changes nothing once the lease has a later token. */
export interface Fence {
  readonly name: string
  readonly token: number
}

export interface ProcessInfo {
  /** UUIDv7 of this process's life. */
  readonly id: string
  readonly host: string
  readonly pid: number
}

export interface LeaseSteps {
  /**
   * Registers `process` as alive for `ttl` milliseconds, renews what it holds, takes what is free up to its fair share of each group of
   * names, and gives up what is beyond it. One transaction that two processes never interleave.
   *
   * @returns what the process holds now
   */
  exchange(process: ProcessInfo, groups: readonly (readonly string[])[], ttl: number): Promise<readonly Fence[]>
  /** Gives up everything the process holds and forgets the process. */
  release(process: ProcessInfo): Promise<void>
}

// ── outbox ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A message ready to be written. */
export interface OutgoingMessage extends WireMessage {
  readonly id: string
  readonly type: string
  /** Not published before. */
  readonly deliverAt: Date | undefined
  /** Whether the store should lock the key until the transaction ends, so that commit order is insert order. */
  readonly strictOrder: boolean
}

/** A message to publish. `deliverAt` and `strictOrder` have served their purpose; a store need not keep them. */
export interface OutboxMessage extends OutgoingMessage {
  /** Place in the outbox. Ascends, within a topic and key, in commit order of senders that excluded each other. */
  readonly position: number
  readonly shard: number
  /** Failed publications so far. */
  readonly attempts: number
  /** Milliseconds since the first failed publication; 0 if none failed. */
  readonly failingFor: number
  /** Whether an earlier message of its topic and key is held, so that this one must not be published. */
  readonly behindHeld: boolean
}

/** One message to take out of the relay's way. */
export interface Hold {
  readonly position: number
  /** `waiting`: try again after `delay`. `behind`: wait for the earlier message of its key. `unsendable`: wait for a person. */
  readonly state: 'waiting' | 'behind' | 'unsendable'
  readonly delay: number
  readonly error: string | undefined
}

export interface OutboxSteps<Tx> {
  /** Writes all messages with one statement. Messages with `deliverAt` in the future are kept apart until then. */
  insert(tx: Tx, messages: readonly OutgoingMessage[]): Promise<void>
  /**
   * The oldest messages of the shards that the fences cover, oldest first within a shard. Changes nothing; a message whose transaction
   * commits later with a lower position is seen by a later call.
   */
  read(fences: readonly ShardFence[], limit: number): Promise<readonly OutboxMessage[]>
  /**
   * Deletes published messages and lets what waited behind them go on, atomically.
   *
   * @throws TandemError `LEASE_LOST` when any of the fences is stale; then nothing has changed
   */
  remove(fences: readonly ShardFence[], published: readonly OutboxMessage[]): Promise<void>
  /**
   * Takes messages out of the relay's way. Fenced as `remove`. One that is to wait `behind` and has nothing to wait for any more stays
   * where it is.
   */
  hold(fences: readonly ShardFence[], holds: readonly Hold[]): Promise<void>
  /**
   * Brings back held messages whose time has come to their old places, and delayed ones that are due to the end. A held message does not
   * come back before an earlier one of its key. Fenced as `remove`; where nothing is due, a stale fence may go unnoticed.
   *
   * @returns how many came back, and milliseconds until the next is due (undefined: none is waiting for a time)
   */
  promote(
    fences: readonly ShardFence[],
    limit: number,
  ): Promise<{ readonly promoted: number; readonly nextIn: number | undefined }>
}

export interface ShardFence extends Fence {
  readonly shard: number
}

// ── half messages ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface HalfMessage extends OutgoingMessage {
  readonly state: HalfState
  /** Whether the local transaction writes a barrier row, so that the check answers itself. */
  readonly barrier: boolean
  /** Checks that were answered `unknown`. */
  readonly answered: number
  /** Milliseconds since `prepare`. */
  readonly age: number
}

export type HalfSelector = { readonly barrier: true } | { readonly barrier: false; readonly types: readonly string[] }

export interface HalfSteps<Tx> {
  /** Writes the half message, due for its first check after `firstCheckIn` ms. */
  prepare(
    message: OutgoingMessage,
    options: { readonly barrier: boolean; readonly firstCheckIn: number },
  ): Promise<void>
  /**
   * Decides the half message if nobody has; a commit moves it into the outbox in the same transaction. Of several callers at the same
   * moment exactly one decides, and the others learn the outcome.
   *
   * @returns the state after the call and whether this call changed it; undefined if there is no such half message
   */
  resolve(
    id: string,
    decision: HalfDecision,
  ): Promise<{ readonly state: HalfState; readonly changed: boolean } | undefined>
  /**
   * Prepared half messages that are due for a check, oldest first: those with a barrier, or those without one of these types.
   *
   * @returns also the milliseconds until the next that is not among them is due: 0 if there may be more than `limit`, undefined if there
   * is none
   */
  due(
    selector: HalfSelector,
    limit: number,
  ): Promise<{ readonly due: readonly HalfMessage[]; readonly nextIn: number | undefined }>
  /**
   * Records an answered check that decided nothing: sets the next one, or parks the message as `undecided`. Changes nothing if the half
   * message is decided or the fence is stale.
   *
   * @returns the state after the call; undefined if there is no such half message
   */
  recordUnknown(
    fence: Fence,
    id: string,
    schedule: CheckSchedule,
    error: string | undefined,
  ): Promise<HalfState | undefined>
  /**
   * In the local transaction: writes the barrier row that says "committed".
   *
   * @throws TandemError `BARRIER_CLOSED` when a check has closed it first
   */
  insertBarrier(tx: Tx, id: string): Promise<void>
  /**
   * Reads the barrier; if there is none, closes it so that a local transaction that comes later must fail.
   *
   * @param lockTimeout milliseconds to wait for a local transaction that is still open
   * @returns `commit` if it had committed, `rollback` if it is closed now, `unknown` if a lock was not given in time
   */
  closeBarrier(id: string, lockTimeout: number): Promise<HalfAnswer>
  /** Deletes up to `limit` half messages and barriers that were decided more than `olderThan` ms ago. Returns how many. */
  expire(olderThan: number, limit: number): Promise<number>
}

// ── inbox ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A message as the inbox records it. */
export interface InboxMessage extends WireMessage {
  readonly id: string
  readonly type: string
  readonly source: string
  /** When it was sent, in milliseconds since the epoch, by the sender's clock. */
  readonly sentAt: number
  readonly causationId: string | undefined
  readonly correlationId: string
}

export interface FailedAttempt {
  readonly error: string
  /** Already cut to its bound and redacted. */
  readonly stack: string
  /** `host:pid` of the process that tried. */
  readonly process: string
}

export type NextStep =
  | { readonly state: 'retrying'; readonly delay: number }
  | { readonly state: 'dead'; readonly reason: DeadReason }

/** A message whose handling failed before and is due again. */
export interface RetryMessage extends InboxMessage {
  readonly group: string
  /** Attempts in the whole life of the message in this group. */
  readonly attempts: number
  /** Attempts since it arrived or was last replayed; what the retry policy counts. */
  readonly attemptsInRound: number
  /** Whether the last attempt was begun and never ended: its process died, or is still at it. */
  readonly unfinished: boolean
  /** Version of the row; a step that carries an old one changes nothing. */
  readonly version: number
}

/** What the inbox says about a message that a transaction is about to handle. */
export type BeginOutcome = 'new' | 'duplicate' | 'blocked'

export interface InboxSteps<Tx> {
  /**
   * In the handler's transaction: inserts a `handled` row for each message that the group has none of, with one statement.
   *
   * Of two transactions with the same message one gets `new`; the other waits for it and then gets `duplicate` (or `new`, if the first
   * was rolled back). With `ordered`, a message whose key is blocked gets `blocked` and no row.
   */
  begin(tx: Tx, group: string, messages: readonly InboxMessage[], ordered: boolean): Promise<readonly BeginOutcome[]>
  /**
   * Records that handling `message` failed for the first time. Does nothing, and says `duplicate`, if the group has a row of it already.
   * With `ordered`, its key is blocked until it is handled or discarded.
   */
  recordFailure(
    group: string,
    message: InboxMessage,
    attempt: FailedAttempt,
    next: NextStep,
    ordered: boolean,
  ): Promise<'recorded' | 'duplicate'>
  /**
   * Records a message that waits behind a failed one of its key; does nothing, and says `free`, if the key is not blocked any more, so
   * that nothing can be left behind a message that has just been settled.
   */
  block(group: string, message: InboxMessage): Promise<'blocked' | 'free' | 'duplicate'>
  /**
   * Retrying messages of these groups that are due, oldest due first; of an ordered group none that has an earlier unsettled one of its
   * key. Changes nothing.
   *
   * @returns also the milliseconds until the next that is not among them is due: 0 if there may be more than `limit`, undefined if there
   * is none
   */
  due(
    groups: readonly string[],
    limit: number,
  ): Promise<{ readonly due: readonly RetryMessage[]; readonly nextIn: number | undefined }>
  /**
   * Marks a retry as begun, so that a process which dies in it is counted: the attempt is recorded as "died" until it ends, and is due
   * again after `retryIn` ms. Returns the row's new version, or undefined if somebody else has changed the row.
   */
  beginRetry(message: RetryMessage, processName: string, retryIn: number): Promise<number | undefined>
  /**
   * In the handler's transaction: makes the row `handled` if it still has this version, and lets the next message of its key go on.
   *
   * @returns false if somebody else was faster; then the transaction must be rolled back
   */
  completeRetry(tx: Tx, message: RetryMessage): Promise<boolean>
  /** Records that a retry failed, if the row still has this version. */
  failRetry(message: RetryMessage, attempt: FailedAttempt, next: NextStep): Promise<boolean>
  /** The state of a message in a group; undefined if there is no row. */
  state(group: string, id: string): Promise<InboxState | undefined>
  /** Deletes up to `limit` rows that were finished more than `olderThan` ms ago. Rows of any other state are never deleted. */
  expire(olderThan: number, limit: number): Promise<number>
}
