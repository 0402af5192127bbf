import { errorText } from './errors.ts'
import type { HalfAnswer, HalfState } from './half-state.ts'
import type { DeadReason } from './inbox-state.ts'

/** Everything that an instance tells while it runs. For alerts, logs, metrics, and tests that wait for something. */
export interface TandemEvents {
  /** The broker has confirmed it and the outbox has forgotten it. */
  'message.published': { id: string; type: string; topic: string }
  /** The broker refused it for now. */
  'message.held': { id: string; type: string; topic: string; error: string; delay: number }
  /** The broker refused it for good; a person has to look. */
  'message.unsendable': { id: string; type: string; topic: string; error: string }
  /** The handler's transaction is committed. */
  'message.handled': { group: string; id: string; type: string; attempt: number }
  /** It had been handled before; nothing was done. */
  'message.duplicate': { group: string; id: string; type: string }
  /** An attempt failed; the message is tried again after `delay` milliseconds. */
  'message.failed': { group: string; id: string; type: string; attempt: number; error: string; delay: number }
  /** It waits behind a failed message of its key. */
  'message.blocked': { group: string; id: string; type: string; key: string }
  /** A person has to look. */
  'message.dead': { group: string; id: string; type: string; attempt: number; reason: DeadReason; error: string }
  'half.checked': { id: string; type: string; answer: HalfAnswer; error: string | undefined }
  'half.resolved': { id: string; type: string; state: HalfState }
  /** Every check was answered `unknown`; a person has to decide. */
  'half.undecided': { id: string; type: string }
  /** A loop (`relay`, `checker`, `retrier`, `reaper`, `leases`, `consumer`) failed and goes on after a pause. */
  'loop.failed': { loop: string; error: unknown; failures: number }
  'loop.recovered': { loop: string; failures: number }
  /** Something that works, and that somebody should change. */
  warning: { text: string }
}

export type TandemEvent = keyof TandemEvents

type Listener<E extends TandemEvent> = (event: TandemEvents[E]) => void

/** A typed emitter. A listener that throws or rejects is reported as a process warning and harms nobody. */
export class Events {
  readonly #listeners = new Map<TandemEvent, Set<Listener<never>>>()

  /** Returns a function that takes the listener off again. */
  on<E extends TandemEvent>(name: E, listener: Listener<E>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  /** `make` runs only if somebody listens. */
  emit<E extends TandemEvent>(name: E, make: () => TandemEvents[E]): void {
    const listeners = this.#listeners.get(name) as Set<Listener<E>> | undefined
    if (listeners === undefined || listeners.size === 0) return
    const event = make()
    const warn = (error: unknown): void =>
      process.emitWarning(`a listener of ${name} failed: ${errorText(error)}`, 'TandemWarning')
    for (const listener of listeners) {
      try {
        const result: unknown = listener(event)
        // An async function is a listener as well.
        if (result instanceof Promise) result.catch(warn)
      } catch (error) {
        warn(error)
      }
    }
  }

  has(name: TandemEvent): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0
  }
}
