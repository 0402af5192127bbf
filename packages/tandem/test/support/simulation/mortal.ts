import { AsyncLocalStorage } from 'node:async_hooks'
import type { CrashPoint } from '../../../src/core/crash-points.ts'
import { observeCrashPoints, SimulatedCrash } from '../../../src/testing/index.ts'
import type { TestStore, Tx } from '../store.ts'

/** In whose name the present code runs. */
const acting = new AsyncLocalStorage<Mortal>()

/** Lets crash points reach the process that comes by them. Returns a function that ends it. */
export function armSimulation(): () => void {
  return observeCrashPoints((point) => acting.getStore()?.reach(point))
}

/** Rolls back what a dead process had open. */
class Died extends Error {}

const never = new Promise<never>(() => undefined)

/** The steps that run in a transaction that is open already. */
const INSIDE: ReadonlySet<string> = new Set(['insert', 'insertBarrier', 'begin', 'completeRetry'])

/**
 * Something that can die, as a process does: what it has committed stays, what was open is rolled back, and nothing that it does
 * afterwards has any effect. Its code is not told; it waits for ever for an answer.
 */
export class Mortal {
  readonly name: string
  dead = false
  readonly #death = Promise.withResolvers<'died'>()
  readonly #onDeath: (() => void)[] = []
  #fate: { readonly point: CrashPoint; nth: number } | undefined

  constructor(name: string) {
    this.name = name
  }

  /** It dies when it comes to `point` for the `nth` time. */
  doom(point: CrashPoint, nth: number): void {
    this.#fate = { point, nth }
  }

  spare(): void {
    this.#fate = undefined
  }

  whenDead(act: () => void): void {
    this.#onDeath.push(act)
  }

  reach(point: CrashPoint): void {
    const fate = this.#fate
    if (this.dead) throw new SimulatedCrash(point)
    if (fate?.point !== point || --fate.nth > 0) return
    this.die()
    throw new SimulatedCrash(point)
  }

  die(): void {
    if (this.dead) return
    this.dead = true
    for (const act of this.#onDeath) act()
    this.#death.resolve('died')
  }

  /** Lets it do something, until it is done or the process dies. */
  async live<T>(act: () => Promise<T>): Promise<T | 'died'> {
    if (this.dead) return 'died'
    try {
      return await Promise.race([acting.run(this, act), this.#death.promise])
    } catch (error) {
      if (this.dead) return 'died'
      throw error
    }
  }

  /** Answers for as long as it lives. */
  async whileAlive<T>(answer: () => Promise<T>): Promise<T> {
    if (this.dead) return never
    try {
      const given = await answer()
      return this.dead ? await never : given
    } catch (error) {
      if (this.dead) return never
      throw error
    }
  }

  /** A store as this process sees it. */
  store(store: TestStore, beforeTransaction: () => Promise<void>): TestStore {
    const area = <A extends object>(steps: A): A =>
      Object.fromEntries(
        Object.entries(steps as Record<string, (...given: unknown[]) => Promise<unknown>>).map(([name, step]) => [
          name,
          async (...given: unknown[]) => {
            if (!INSIDE.has(name)) return this.whileAlive(() => step(...given))
            // The transaction that it is in must end, or nobody else could ever begin one.
            if (this.dead) throw new Died()
            return step(...given)
          },
        ]),
      ) as A
    return {
      ...store,
      outbox: area(store.outbox),
      half: area(store.half),
      inbox: area(store.inbox),
      leases: area(store.leases),
      transaction: <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
        this.whileAlive(async () => {
          await beforeTransaction()
          return store.transaction(async (tx) => {
            const result = await work(tx)
            if (this.dead) throw new Died()
            return result
          })
        }),
    }
  }
}
