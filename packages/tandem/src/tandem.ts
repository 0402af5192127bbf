import { hostname } from 'node:os'

import { TandemError } from './core/errors.ts'
import { Events, type TandemEvent, type TandemEvents } from './core/events.ts'
import { uuidv7 } from './core/ids.ts'
import { checkNumber, checkOptions } from './core/limits.ts'
import type { AnyMessageType, Draft, MessageType, PayloadOf } from './core/message.ts'
import { Checker } from './engine/checker.ts'
import { LeaseKeeper } from './engine/lease-keeper.ts'
import { Reaper } from './engine/reaper.ts'
import { Relay } from './engine/relay.ts'
import { Retrier } from './engine/retrier.ts'
import type { Runtime } from './engine/runtime.ts'
import { prepare, toCheck, transact, type Half, type HalfParts, type HalfToCheck } from './half/half.ts'
import { Consumer } from './inbox/consumer.ts'
import type { Group } from './inbox/group.ts'
import { GroupRegistry, type SettledGroup } from './inbox/groups.ts'
import type { ConsumeOptions, Handler } from './inbox/options.ts'
import { retryOne } from './inbox/retry.ts'
import { settleOptions, type SettledOptions, type TandemOptions } from './options.ts'
import { firstReason, send } from './outbox/send.ts'
import type { TransactionOptions } from './spi/driver.ts'
import { logEvents } from './telemetry/log.ts'

/**
 * Makes a Tandem instance: one service's outbox, inbox and half messages, on its store and broker. Nothing is opened before `open()` or
 * `start()`.
 *
 * @throws TandemError `CONFIG_INVALID`, `OPTION_UNKNOWN`, `NAME_INVALID`
 */
export function createTandem<Tx>(options: TandemOptions<Tx>): Tandem<Tx> {
  return new Tandem(options)
}

/** Milliseconds after the deadline of `stop` in which what was cut is rolled back and the leases are given up. */
const LAST_WORDS = 500

/** A transaction of `transaction()`: whether something was sent in it, and what was written without waiting for the answer. */
interface OwnTransaction {
  sends: boolean
  readonly unanswered: Promise<void>[]
}

type State = 'new' | 'open' | 'started' | 'stopped'

/** @typeParam Tx the transaction object of the user's database library */
export class Tandem<Tx> implements AsyncDisposable {
  readonly #options: SettledOptions
  readonly #runtime: Runtime<Tx>
  readonly #leases: LeaseKeeper
  readonly #relay: Relay
  readonly #checker: Checker
  readonly #reaper: Reaper
  readonly #half: HalfParts<Tx>
  readonly #groups = new GroupRegistry<Tx>()
  /** Transactions of `transaction()`, and whether something was sent in them. */
  readonly #own = new WeakMap<object, OwnTransaction>()
  readonly #stopLog: () => void
  /** Aborted when the deadline of `stop` is over. */
  readonly #cutting = new AbortController()
  #parts: readonly { readonly consumer: Consumer<Tx>; readonly retrier: Retrier }[] = []
  #state: State = 'new'
  #opening: Promise<void> | undefined
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  /** Use `createTandem`. */
  constructor(options: TandemOptions<Tx>) {
    this.#options = settleOptions(options)
    const { clock, random, limits, relay, check, retention, lease, log } = this.#options
    const events = new Events()
    this.#runtime = {
      service: options.service,
      process: { id: uuidv7(), host: hostname(), pid: process.pid },
      store: options.store,
      broker: options.broker,
      clock,
      random,
      newId: uuidv7,
      events,
      limits,
    }
    this.#stopLog = log === undefined ? () => undefined : logEvents(events, options.service, log)
    const published = (): void => this.#relay.hint()
    // Free after three quarters and asked for every quarter: what it comes to is the longest time that work rests.
    this.#leases = new LeaseKeeper(this.#runtime, lease * 0.75, () => this.#leasesChanged())
    this.#relay = new Relay(this.#runtime, this.#leases, relay)
    this.#checker = new Checker(this.#runtime, this.#leases, check, published)
    this.#reaper = new Reaper(this.#runtime, this.#leases, retention)
    this.#half = { runtime: this.#runtime, schedule: check, committed: published }
  }

  get service(): string {
    return this.#runtime.service
  }

  /** Listens to what happens. Returns a function that stops listening. */
  on<E extends TandemEvent>(name: E, listener: (event: TandemEvents[E]) => void): () => void {
    return this.#runtime.events.on(name, listener)
  }

  /**
   * Sends messages in the user's open transaction: they are delivered if, and only if, it commits. One statement for any number.
   *
   * @throws TandemError, before anything is written, for a payload, key, header or size that is not acceptable, and for something that
   * is not an open transaction of this store
   */
  async send(tx: Tx, drafts: Draft | readonly Draft[]): Promise<void> {
    this.#mustBeOpen('send')
    const own = this.#own.get(tx as object)
    await send(this.#runtime, tx, drafts, own?.unanswered)
    // Of any other transaction nobody says when it commits: look soon, and again.
    if (own === undefined) this.#relay.hint()
    else own.sends = true
  }

  /**
   * Runs `work` in a transaction of the store. For services whose database library has no transactions of its own (SQLite), and where a
   * round trip counts: on a library that pipelines (`new Pool({ pipeline: true })` of node-postgres), what `send` writes goes out together
   * with the COMMIT. If it cannot be written, nothing is committed, and this rejects with the reason.
   */
  async transaction<T>(work: (tx: Tx) => Promise<T> | T, options?: TransactionOptions): Promise<T> {
    await this.open()
    const own: OwnTransaction = { sends: false, unanswered: [] }
    let result: T
    try {
      result = await this.#runtime.store.transaction(async (tx) => {
        this.#own.set(tx as object, own)
        return work(tx)
      }, options)
      await Promise.all(own.unanswered)
    } catch (error) {
      throw await firstReason(error, own.unanswered)
    }
    if (own.sends) this.#relay.hint()
    return result
  }

  /**
   * Prepares a half message: no consumer sees it until it is committed. If neither `commit` nor `rollback` comes, the check that was
   * registered for its type is asked.
   *
   * @throws TandemError `CONFIG_INVALID` when no check is registered for the type: nobody could ever answer
   */
  async prepare(draft: Draft): Promise<Half> {
    await this.open()
    const type = draft?.messageType?.type
    if (type !== undefined && !this.#checker.has(type)) {
      throw new TandemError(
        'CONFIG_INVALID',
        `prepare: there is no check for ${type}. Register one with tandem.check() first: it answers when this process dies before commit`,
      )
    }
    return prepare(this.#half, draft, false)
  }

  /**
   * Prepares a half message, runs `work` as the local transaction, and commits the half message. The barrier row that the local
   * transaction writes answers the check if this process dies on the way, and this call if the answer to the commit is lost.
   *
   * @throws what `work` throws; TandemError `BARRIER_CLOSED` when a check has given the local transaction up before it began
   */
  async transact<T>(draft: Draft, work: (tx: Tx) => Promise<T> | T): Promise<T> {
    if (typeof work !== 'function') {
      throw new TandemError('CONFIG_INVALID', 'transact: pass a function that does the local transaction')
    }
    await this.open()
    return transact(this.#half, draft, async (tx) => work(tx))
  }

  /**
   * Registers who answers for half messages of this type whose outcome is unknown. Only `'commit'` and `'rollback'` decide; anything else,
   * an error included, is `'unknown'` and asked again. Answer `'rollback'` only when the local transaction cannot commit any more.
   */
  check<Input, Output>(
    messageType: MessageType<Input, Output>,
    answer: (
      half: HalfToCheck<Input>,
    ) => Promise<'commit' | 'rollback' | 'unknown'> | 'commit' | 'rollback' | 'unknown',
  ): void {
    this.#mustNotBeStarted('check')
    const { type, codec } = messageType ?? {}
    if (type === undefined || codec === undefined) {
      throw new TandemError('CONFIG_INVALID', 'check: pass a message type, as message() returns it')
    }
    if (typeof answer !== 'function')
      throw new TandemError('CONFIG_INVALID', `check(${type}): the answer must be a function`)
    if (this.#checker.has(type)) throw new TandemError('HANDLER_DUPLICATE', `there is a check for ${type} already`)
    this.#checker.answer(type, async (half) => answer(toCheck(half, (body) => codec.decode(body))))
  }

  /**
   * Handles messages of a type: the handler's writes through `tx`, the inbox row and what it sends are one transaction, committed exactly
   * once per message and consumer group.
   */
  consume<Input, Output>(
    messageType: MessageType<Input, Output>,
    handler: Handler<never, Output>,
    options: ConsumeOptions & { readonly transaction: false },
  ): void
  consume<Input, Output>(
    messageType: MessageType<Input, Output>,
    handler: Handler<Tx, Output>,
    options?: ConsumeOptions,
  ): void
  consume<T extends AnyMessageType>(
    messageTypes: readonly T[],
    handler: Handler<never, PayloadOf<T>>,
    options: ConsumeOptions & { readonly transaction: false },
  ): void
  consume<T extends AnyMessageType>(
    messageTypes: readonly T[],
    handler: Handler<Tx, PayloadOf<T>>,
    options?: ConsumeOptions,
  ): void
  consume(
    messageTypes: AnyMessageType | readonly AnyMessageType[],
    handler: Handler<never, never>,
    options: ConsumeOptions = {},
  ): void {
    this.#mustNotBeStarted('consume')
    const types = Array.isArray(messageTypes) ? messageTypes : [messageTypes as AnyMessageType]
    this.#groups.add(types, handler as Handler<Tx, never>, options, this.service)
  }

  /** Opens the store and the broker. Enough for a process that only sends and leaves publishing to others. Idempotent. */
  async open(): Promise<void> {
    if (this.#state === 'stopped') throw lifecycle('open() was called after stop(); make a new instance')
    this.#opening ??= this.#open()
    try {
      await this.#opening
    } catch (error) {
      this.#opening = undefined
      throw error
    }
  }

  /** Opens, and starts the relay, the checks, the retries and the consumers. Rejects, with everything undone, if one cannot start. */
  async start(): Promise<void> {
    if (this.#starting !== undefined) throw lifecycle('start() was called twice')
    this.#starting = this.#start()
    try {
      await this.#starting
    } catch (error) {
      await this.stop().catch(() => undefined)
      throw error
    }
  }

  /**
   * Takes nothing new, waits for the handlers that run, gives back the rest, and closes. Idempotent. Ends everything even if something
   * fails on the way, and rejects with the first failure then.
   *
   * @param options.deadline milliseconds after which handlers are told to abort; what they did is rolled back and handled again later.
   * What still waits for a database then, for a lock say, gives up half a second later. Default 30,000
   */
  async stop(options: { readonly deadline?: number } = {}): Promise<void> {
    checkOptions('stop', options, ['deadline'])
    const deadline = checkNumber('stop: deadline', options.deadline, { min: 0, max: 2 ** 31 - 1, default: 30_000 })
    this.#stopping ??= this.#stop(deadline)
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #open(): Promise<void> {
    const { store, broker, service } = this.#runtime
    await store.open({ service })
    await broker.open({ service })
    if (this.#state === 'new') this.#state = 'open'
  }

  async #start(): Promise<void> {
    await this.open()
    const { store, broker, events } = this.#runtime
    for (const text of store.warnings?.() ?? []) events.emit('warning', () => ({ text }))
    const defaults = { concurrency: store.capabilities.concurrentTransactions ? 10 : 1 }
    const groups = this.#groups.all(defaults)
    this.#parts = groups.map((group) => this.#part(group))
    await broker.ensure({
      topics: [...new Set(groups.flatMap(({ topics }) => topics))],
      groups: groups.map(({ name, topics }) => ({ group: name, topics })),
    })
    this.#state = 'started'
    this.#relay.start()
    this.#checker.start()
    this.#reaper.start()
    for (const { retrier } of this.#parts) retrier.start()
    await this.#leases.start()
    for (const { consumer } of this.#parts) await consumer.start()
  }

  #part(settled: SettledGroup<Tx>): { readonly consumer: Consumer<Tx>; readonly retrier: Retrier } {
    const group: Group<Tx> = {
      ...settled,
      runtime: this.#runtime,
      lease: this.#options.lease,
      cutting: this.#cutting.signal,
      sent: () => this.#relay.hint(),
      setAside: () => retrier.wake(),
    }
    const retrier = new Retrier(this.#runtime, this.#leases, {
      group: group.name,
      concurrency: group.settings.concurrency,
      handle: (message) => retryOne(group, message),
    })
    return { consumer: new Consumer(group), retrier }
  }

  async #stop(deadline: number): Promise<void> {
    await this.#starting?.catch(() => undefined)
    await this.#opening?.catch(() => undefined)
    const { store, broker } = this.#runtime
    this.#state = 'stopped'
    const cut = setTimeout(() => this.#cutting.abort(lifecycle('the service stops')), deadline)
    // Whatever waits for a lock or an answer then is told that there will be none.
    const close = setTimeout(() => void Promise.allSettled([broker.close(0), store.close()]), deadline + LAST_WORDS)
    const failures: unknown[] = []
    const all = async (...ends: Promise<void>[]): Promise<void> => {
      for (const end of await Promise.allSettled(ends)) if (end.status === 'rejected') failures.push(end.reason)
    }
    await all(...this.#parts.flatMap(({ consumer, retrier }) => [consumer.stop(deadline), retrier.stop()]))
    clearTimeout(cut)
    await all(this.#relay.stop(), this.#checker.stop(), this.#reaper.stop())
    await all(this.#leases.stop())
    await all(broker.close(deadline))
    await all(store.close())
    clearTimeout(close)
    this.#stopLog()
    if (failures.length > 0) throw failures[0]
  }

  #leasesChanged(): void {
    this.#relay.wake()
    this.#checker.wake()
    this.#reaper.wake()
    for (const { retrier } of this.#parts) retrier.wake()
  }

  #mustBeOpen(call: string): void {
    if (this.#state === 'open' || this.#state === 'started') return
    throw lifecycle(
      this.#state === 'stopped'
        ? `${call}() was called after stop()`
        : `${call}() was called before open() or start(); await one of them first`,
    )
  }

  #mustNotBeStarted(call: string): void {
    if (this.#starting === undefined && this.#state !== 'stopped') return
    throw lifecycle(
      `${call}() was called after start(); register everything first, so that no message finds its handler missing`,
    )
  }
}

function lifecycle(text: string): TandemError {
  return new TandemError('LIFECYCLE', text)
}
