import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PostgresJsTransactionSql } from './postgres-js-sql.ts'

/** An instance of postgres.js with what is replaced in it. */
interface Beginner {
  begin: (...args: unknown[]) => Promise<unknown>
}

type Callback = (tx: PostgresJsTransactionSql) => unknown

/** One transaction that `sql.begin` has begun. */
export interface Begun {
  /** The instance of postgres.js. */
  readonly by: object
  /** Whether its callback still runs, on a connection that is there. */
  readonly isOpen: boolean
  /** Its connection was lost before the commit was sent. */
  readonly isLost: boolean
}

interface State {
  readonly by: object
  isOpen: boolean
  isLost: boolean
}

const transactions = new WeakMap<object, State>()
const followed = new WeakSet()

/** What is known of an object that `sql.begin`, or a savepoint in it, has handed to a callback. */
export function begunOf(candidate: object): Begun | undefined {
  return transactions.get(candidate)
}

/**
 * Follows the transactions of an instance of postgres.js, by replacing its `begin`. The library does not say whether a transaction is
 * still open: what is run on one that has ended is run on its connection all the same, outside of any transaction or in somebody else's.
 *
 * When a connection is lost postgres.js goes on to roll back on it, which ends the process by an exception that nobody can catch (3.4.9:
 * "Cannot read properties of null"). So the callback of a transaction whose connection has gone is never seen to end; `begin` itself
 * rejects with the loss of the connection.
 */
export function followTransactions(sql: object): void {
  if (followed.has(sql)) return
  followed.add(sql)
  const beginner = sql as Beginner
  const begin = beginner.begin
  beginner.begin = (...args) => {
    const callback = args.pop() as Callback
    const state: State = { by: sql, isOpen: true, isLost: false }
    const settled = new Set<'callback'>()
    const ended = begin(...args, async (tx: PostgresJsTransactionSql) => {
      adopt(tx, state)
      try {
        return await unlessLost(state, () => callback(tx))
      } finally {
        state.isOpen = false
        settled.add('callback')
      }
    })
    ended.catch(() => {
      state.isOpen = false
      state.isLost = !settled.has('callback')
    })
    return ended
  }
}

function adopt(tx: PostgresJsTransactionSql, state: State): void {
  transactions.set(tx, state)
  const { savepoint } = tx as unknown as { savepoint: (...args: unknown[]) => Promise<unknown> }
  Object.assign(tx, {
    savepoint: (...args: unknown[]) => {
      const callback = args.at(-1)
      // Not the form of a template.
      if (typeof callback !== 'function') return savepoint(...args)
      return savepoint(...args.slice(0, -1), (inner: PostgresJsTransactionSql) => {
        adopt(inner, state)
        return unlessLost(state, () => (callback as Callback)(inner))
      })
    },
  })
}

/** Ends as `run` does, or never when the connection has gone. */
async function unlessLost<T>(state: State, run: () => T | Promise<T>): Promise<T> {
  let result: T
  try {
    // The library waits for the members of an array too.
    const outcome: unknown = run()
    result = (await (Array.isArray(outcome) ? Promise.all(outcome) : outcome)) as T
  } catch (error) {
    // It may be the loss of the connection that made it fail, which is told in the same turn or in the next but one.
    await nextTurn()
    await nextTurn()
    if (state.isLost) return never()
    throw error
  }
  return state.isLost ? never() : result
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}
