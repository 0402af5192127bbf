import { describe, expect, it } from 'vitest'
import { MOST_LISTED, OutboxCursor } from '../../../src/stores/mysql/outbox-cursor.ts'

const A = 'relay/0 1'

interface Rig {
  readonly cursor: OutboxCursor
  pass(ms: number): void
  /** A look that finds these, and their removal. */
  round(positions: readonly number[]): void
  /** Rounds of 2,000 rows from a position on, until what was seen first has settled. */
  settle(from: number): number
}

function rig(): Rig {
  let now = 1000
  const cursor = new OutboxCursor(() => now)
  const round = (positions: readonly number[]): void => {
    cursor.begin(A)
    cursor.found(positions)
    cursor.gone(A, positions)
  }
  return {
    cursor,
    pass: (ms) => (now += ms),
    round,
    settle: (from) => {
      let next = from
      for (let rounds = 0; rounds < 10; rounds++) {
        round(Array.from({ length: 2000 }, (_, i) => next + i))
        next += 2000
        now += 500
      }
      return next
    },
  }
}

describe('the cursor of the outbox on MySQL', () => {
  it('begins at the beginning, and stays there while that is near', () => {
    const { cursor, round, pass } = rig()
    for (let i = 1; i < 50; i++) {
      round([i])
      pass(500)
    }
    expect(cursor.begin(A)).toEqual({ low: 0, listed: [] })
    expect(cursor.next(A)).toBeUndefined()
  })

  it('goes on to what was seen a while ago, and lists what is there below', () => {
    const { cursor, settle } = rig()
    settle(10)
    const next = cursor.next(A)!
    expect(next.from).toEqual({ low: 0, listed: [] })
    expect(next.to).toBeLessThan(20_000)
    cursor.advance(next.to, [3, 7])
    expect(cursor.begin(A)).toEqual({ low: next.to, listed: [3, 7] })
    expect(cursor.next(A)).toBeUndefined()
  })

  it('does not go on to what was seen a moment ago, nor counts time in which nobody answered', () => {
    const { cursor, round, pass } = rig()
    round(Array.from({ length: 3000 }, (_, i) => i + 1))
    pass(2900)
    expect(cursor.next(A)).toBeUndefined()
    pass(60_000)
    expect(cursor.next(A)).toBeUndefined()
    round([3001])
    expect(cursor.next(A)).toBeUndefined()
  })

  it('keeps what a look has found and nobody has removed for certain', () => {
    const { cursor, settle } = rig()
    const end = settle(10)
    cursor.begin(A)
    cursor.found([5, end])
    const next = cursor.next(A)!
    // Nothing is there, for somebody has deleted it and not committed.
    cursor.advance(next.to, [])
    expect(cursor.begin(A).listed).toEqual([5])
  })

  it('goes no further than a list has room', () => {
    const { cursor, settle } = rig()
    settle(10)
    const { to } = cursor.next(A)!
    const there = Array.from({ length: MOST_LISTED + 1 }, (_, i) => 100 + 2 * i)
    cursor.advance(to, there)
    const { low, listed } = cursor.begin(A)
    expect(low).toBe(there.at(-1)! - 1)
    expect(listed).toEqual(there.slice(0, -1))
  })

  it('never goes back', () => {
    const { cursor, settle } = rig()
    const end = settle(10)
    const { to } = cursor.next(A)!
    cursor.advance(to, [])
    settle(end)
    const there = Array.from({ length: MOST_LISTED + 1 }, (_, i) => i + 1)
    cursor.advance(cursor.next(A)!.to, there)
    expect(cursor.begin(A).low).toBe(to)
    // And waits until more was removed before it looks in vain again.
    expect(cursor.next(A)).toBeUndefined()
    settle(end + 30_000)
    expect(cursor.next(A)).toBeDefined()
  })

  it('begins anew with other leases, on demand, and now and then', () => {
    const { cursor, settle, pass } = rig()
    settle(10)
    const { to } = cursor.next(A)!
    cursor.advance(to, [])
    expect(cursor.begin(A).low).toBe(to)
    pass(31_000)
    expect(cursor.begin(A)).toEqual({ low: 0, listed: [] })
    cursor.found([])
    expect(cursor.begin(A).low).toBe(to)
    expect(cursor.begin('relay/0 2')).toEqual({ low: 0, listed: [] })
    expect(cursor.next(A)).toBeUndefined()
    expect(cursor.begin(A).low).toBe(0)
    settle(10)
    cursor.advance(cursor.next(A)!.to, [])
    expect(cursor.begin(A).low).toBeGreaterThan(0)
    cursor.reset()
    expect(cursor.begin(A).low).toBe(0)
  })

  it('pays no heed to removals under other leases', () => {
    const { cursor, settle } = rig()
    settle(10)
    cursor.gone('relay/0 2', [1, 2])
    expect(cursor.next('relay/0 2')).toBeUndefined()
    expect(cursor.next(A)).toBeDefined()
  })
})
