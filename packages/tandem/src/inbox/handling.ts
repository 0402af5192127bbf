import { crashPoint } from '../core/crash-points.ts'
import { TandemError } from '../core/errors.ts'
import type { Draft } from '../core/message.ts'
import type { Runtime } from '../engine/runtime.ts'
import { toOutgoing } from '../engine/outgoing.ts'
import type { BeginOutcome, OutgoingMessage, RetryMessage } from '../spi/store.ts'
import type { Group } from './group.ts'
import type { Readable } from './incoming.ts'
import type { HandlerContext } from './options.ts'

/** A handler failed. Tells its error from those of the store. */
export class HandlerFailure extends Error {
  constructor(cause: unknown) {
    super('a handler failed', { cause })
  }
}

/** Somebody else has changed the row of a retry; what was done for it is rolled back. */
export class RetrySuperseded extends Error {}

/** How often a transaction is begun that loses against others each time; after that, it has failed. */
const MOST_BEGINNINGS = 10
/** Milliseconds after which such a transaction begins again, at most. */
const LONGEST_WAIT = 50

/**
 * Handles messages in one transaction: inbox rows, handlers in the order given, what they sent; all of it or nothing.
 *
 * @returns for each message whether it was new
 * @throws HandlerFailure when a handler failed; anything else is the store's
 */
export async function handleTogether<Tx>(
  group: Group<Tx>,
  messages: readonly Readable<Tx>[],
): Promise<readonly BeginOutcome[]> {
  const { store } = group.runtime
  let sends = false
  const outcomes = await transact(group, async (tx) => {
    const begun = await store.inbox.begin(
      tx,
      group.name,
      messages.map((message) => message.record),
      group.settings.ordered,
    )
    crashPoint('consume.begun')
    const outgoing: OutgoingMessage[] = []
    for (const [i, message] of messages.entries()) {
      if (begun[i] === 'new') outgoing.push(...(await invoke(group, message, tx, 1)))
    }
    sends = outgoing.length > 0
    if (sends) await store.outbox.insert(tx, outgoing)
    crashPoint('consume.handled')
    return begun
  })
  if (sends) group.sent()
  return outcomes
}

/** As `handleTogether` for one message whose handler runs outside of the transaction, and therefore at least once. */
export async function handleOutside<Tx>(group: Group<Tx>, message: Readable<Tx>): Promise<BeginOutcome> {
  const { store } = group.runtime
  if ((await store.inbox.state(group.name, message.record.id)) !== undefined) return 'duplicate'
  const outgoing = await invoke(group, message, noTransaction<Tx>(), 1)
  const outcome = await transact(group, async (tx) => {
    const [begun = 'new'] = await store.inbox.begin(tx, group.name, [message.record], false)
    if (begun === 'new' && outgoing.length > 0) await store.outbox.insert(tx, outgoing)
    crashPoint('consume.handled')
    return begun
  })
  if (outgoing.length > 0) group.sent()
  return outcome
}

/**
 * Handles one message again.
 *
 * @throws HandlerFailure, RetrySuperseded; anything else is the store's
 */
export async function handleRetry<Tx>(group: Group<Tx>, retry: RetryMessage, message: Readable<Tx>): Promise<void> {
  const { store } = group.runtime
  const attempt = retry.attempts + 1
  const outside = !message.registration.settings.transaction
  let outgoing = outside ? await invoke(group, message, noTransaction<Tx>(), attempt) : []
  await transact(group, async (tx) => {
    // First of all, so that of two processes with the same retry one waits here and does nothing in vain.
    if (!(await store.inbox.completeRetry(tx, retry))) throw new RetrySuperseded()
    if (!outside) outgoing = await invoke(group, message, tx, attempt)
    if (outgoing.length > 0) await store.outbox.insert(tx, outgoing)
    crashPoint('retry.handled')
  })
  if (outgoing.length > 0) group.sent()
}

/**
 * Runs `work` in a transaction. One that loses against another (a deadlock, or a conflict between serializable transactions) is nobody's
 * fault: it is run again nearly at once, and is no failed attempt.
 */
async function transact<Tx, T>({ runtime, cutting }: Group<Tx>, work: (tx: Tx) => Promise<T>): Promise<T> {
  const { store, clock, random } = runtime
  for (let begun = 1; ; begun++) {
    try {
      return await store.transaction(work)
    } catch (error) {
      const cause = error instanceof HandlerFailure ? error.cause : error
      if (begun >= MOST_BEGINNINGS || cutting.aborted || store.classify(cause) !== 'conflict') throw error
      await clock.sleep(Math.min(LONGEST_WAIT, 2 ** begun) * random(), cutting)
    }
  }
}

/** Runs a handler within its time and returns what it sent. */
async function invoke<Tx>(
  { runtime, cutting }: Group<Tx>,
  { registration, message, envelope }: Readable<Tx>,
  tx: Tx,
  attempt: number,
): Promise<OutgoingMessage[]> {
  const { timeout } = registration.settings
  /** What was sent, in the order of the calls; each settles when it has been checked. */
  const sent: Promise<OutgoingMessage[]>[] = []
  let open = true
  const send = async (drafts: Draft | readonly Draft[]): Promise<void> => {
    if (!open) throw sentTooLate(runtime, message.type)
    const checking = toOutgoing(drafts, runtime, envelope)
    sent.push(checking)
    await checking
  }
  /** A handler may forget to await `send`, so nobody but this may have looked at what became of it. */
  const patient = (drafts: Draft | readonly Draft[]): Promise<void> => {
    const sending = send(drafts)
    sending.catch(() => undefined)
    return sending
  }
  const ending = new AbortController()
  const end = (reason: unknown): void => ending.abort(reason)
  const stop = (): void => end(cutting.reason)
  const timer = setTimeout(
    () => end(new TandemError('HANDLER_TIMEOUT', `a handler of ${message.type} took longer than its ${timeout} ms`)),
    timeout,
  )
  cutting.addEventListener('abort', stop)
  const context: HandlerContext<Tx, never> = { tx, message, attempt, signal: ending.signal, send: patient }
  try {
    const ended = new Promise<never>((_resolve, reject) => {
      // Not before the handler has heard of it and had its chance to say something better.
      ending.signal.addEventListener('abort', () => setImmediate(() => reject(ending.signal.reason as Error)))
    })
    if (cutting.aborted) stop()
    // A handler that throws at once must fail in the same way as one that rejects.
    const running = (async () => {
      await registration.handler(message.payload, context)
      open = false
      return (await Promise.all(sent)).flat()
    })()
    return await Promise.race([running, ended])
  } catch (error) {
    // Not the message's fault, though a small row that records an attempt may still fit: it waits until there is room.
    if (runtime.store.classify(error) === 'full') {
      const text = `the database has no room for what a handler of ${message.type} writes; make room, and it goes on`
      throw new TandemError('STORE_FULL', text, { cause: error })
    }
    throw new HandlerFailure(error)
  } finally {
    open = false
    clearTimeout(timer)
    cutting.removeEventListener('abort', stop)
  }
}

/** An error for whoever called `send`, and a warning, since it may be that nobody awaits it. */
function sentTooLate(runtime: Pick<Runtime<unknown>, 'events'>, type: string): TandemError {
  const text = `a handler of ${type} called send() after its transaction had ended, so nothing was sent; call it inside the handler`
  runtime.events.emit('warning', () => ({ text }))
  return new TandemError('TRANSACTION_ENDED', text)
}

/** What handlers outside of a transaction get as `tx`: any use of it is an error that says why. */
function noTransaction<Tx>(): Tx {
  const refuse = (): never => {
    throw new TandemError('TRANSACTION_INVALID', 'this handler runs with transaction: false and has no tx')
  }
  return new Proxy({}, { get: refuse, set: refuse, has: refuse }) as Tx
}
