import { crashPoint } from '../core/crash-points.ts'
import { errorText } from '../core/errors.ts'
import { readAnswer, type CheckSchedule, type HalfAnswer } from '../core/half-state.ts'
import type { Fence, HalfMessage, HalfSelector } from '../spi/store.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import { Loop } from './loop.ts'
import type { Runtime } from './runtime.ts'

/** Asks the business whether the local transaction of a half message committed. */
export type CheckAnswerer = (half: HalfMessage) => Promise<unknown>

/** Milliseconds that a check waits for an open local transaction before the answer is `unknown`. */
const BARRIER_LOCK_TIMEOUT = 1000
/** Milliseconds after which a user's check that has not answered is given up. */
const ANSWER_TIMEOUT = 30_000
const BATCH = 50

/**
 * Checks half messages that nobody has committed or rolled back. Those with a barrier are answered by the barrier; the others by the
 * user's check, in a process that has one. Without such a process nothing happens: no answer never counts as an answer.
 */
export class Checker {
  readonly #runtime: Runtime<unknown>
  readonly #leases: LeaseKeeper
  readonly #schedule: CheckSchedule
  readonly #resolved: () => void
  readonly #answerers = new Map<string, CheckAnswerer>()
  readonly #loop: Loop

  constructor(runtime: Runtime<unknown>, leases: LeaseKeeper, schedule: CheckSchedule, resolved: () => void) {
    this.#runtime = runtime
    this.#leases = leases
    this.#schedule = schedule
    this.#resolved = resolved
    this.#loop = new Loop('checker', runtime, (signal) => this.tick(signal))
  }

  has(type: string): boolean {
    return this.#answerers.has(type)
  }

  answer(type: string, answerer: CheckAnswerer): void {
    this.#answerers.set(type, answerer)
    this.#leases.want([leaseOf(type)])
  }

  start(): void {
    this.#leases.want([BARRIER_LEASE])
    this.#loop.start()
  }

  wake(): void {
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** One round over everything that is due. */
  async tick(signal: AbortSignal): Promise<number> {
    const duties: { fence: Fence | undefined; selector: HalfSelector }[] = [
      { fence: this.#leases.get(BARRIER_LEASE), selector: { barrier: true } },
      // One lease a type: only processes that can answer compete for it.
      ...[...this.#answerers.keys()].map((type) => ({
        fence: this.#leases.get(leaseOf(type)),
        selector: { barrier: false as const, types: [type] },
      })),
    ]
    // Side by side, so that a user's check which is slow keeps nothing else waiting; all to their end, so that none runs twice.
    const rounds = await Promise.allSettled(duties.map(({ fence, selector }) => this.#round(fence, selector, signal)))
    let next = 1000
    for (const round of rounds) {
      if (round.status === 'rejected') throw round.reason
      next = Math.min(next, round.value)
    }
    return next
  }

  async #round(fence: Fence | undefined, selector: HalfSelector, signal: AbortSignal): Promise<number> {
    if (fence === undefined) return 1000
    const { due, nextIn = 1000 } = await this.#runtime.store.half.due(selector, BATCH)
    for (const half of due) {
      if (signal.aborted) return 0
      await this.#check(fence, half, signal)
    }
    return due.length >= BATCH ? 0 : nextIn
  }

  async #check(fence: Fence, half: HalfMessage, signal: AbortSignal): Promise<void> {
    const { store, events } = this.#runtime
    const { id, type } = half
    const { answer, error } = half.barrier ? await this.#askBarrier(half) : await this.#askUser(half, signal)
    // Cut off by stop(), which is no answer.
    if (answer === undefined) return
    events.emit('half.checked', () => ({ id, type, answer, error }))
    if (answer === 'unknown') {
      const state = await store.half.recordUnknown(fence, id, this.#schedule, error)
      if (state === 'undecided') events.emit('half.undecided', () => ({ id, type }))
      return
    }
    const outcome = await store.half.resolve(id, answer)
    crashPoint('check.resolved')
    if (outcome?.changed !== true) return
    if (answer === 'commit') this.#resolved()
    events.emit('half.resolved', () => ({ id, type, state: outcome.state }))
  }

  async #askBarrier(half: HalfMessage): Promise<{ answer: HalfAnswer; error: string | undefined }> {
    const answer = await this.#runtime.store.half.closeBarrier(half.id, BARRIER_LOCK_TIMEOUT)
    if (answer === 'rollback') crashPoint('check.closed')
    else crashPoint('check.answered')
    return { answer, error: answer === 'unknown' ? 'the local transaction is still open' : undefined }
  }

  async #askUser(
    half: HalfMessage,
    signal: AbortSignal,
  ): Promise<{ answer: HalfAnswer | undefined; error: string | undefined }> {
    const answerer = this.#answerers.get(half.type)
    const over = new AbortController()
    const late = this.#runtime.clock.sleep(ANSWER_TIMEOUT, AbortSignal.any([signal, over.signal])).then(() => LATE)
    try {
      const given = await Promise.race([answerer?.(half), late])
      if (given === LATE) {
        return signal.aborted
          ? { answer: undefined, error: undefined }
          : { answer: 'unknown', error: `the check gave no answer within ${ANSWER_TIMEOUT} ms` }
      }
      crashPoint('check.answered')
      const answer = readAnswer(given)
      return { answer, error: answer === given ? undefined : `the check answered ${String(given)}` }
    } catch (error) {
      return { answer: 'unknown', error: errorText(error) }
    } finally {
      over.abort()
    }
  }
}

const LATE = Symbol('late')

const BARRIER_LEASE = 'checker'

function leaseOf(type: string): string {
  return `checker/${type}`
}
