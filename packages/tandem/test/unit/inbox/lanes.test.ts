import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Lanes } from '../../../src/inbox/lanes.ts'
import { runs } from '../../support/properties.ts'

interface Item {
  readonly n: number
  readonly lane: string | undefined
}

const lanesOf = (...items: readonly Item[]): Lanes<Item> => {
  const lanes = new Lanes<Item>(({ lane }) => lane)
  for (const item of items) lanes.add(item)
  return lanes
}
const numbers = (items: readonly Item[]): number[] => items.map(({ n }) => n)

describe('lanes', () => {
  const [a1, b2, a3, free4] = [
    { n: 1, lane: 'a' },
    { n: 2, lane: 'b' },
    { n: 3, lane: 'a' },
    { n: 4, lane: undefined },
  ] as const

  test('one batch may take several of a lane, in order', () => {
    expect(numbers(lanesOf(a1, b2, a3, free4).take(10))).toEqual([1, 2, 3, 4])
  })

  test('the next of a lane waits until the one before is done; others pass it', () => {
    const lanes = lanesOf(a1, a3, b2, free4)
    const first = lanes.take(1)
    expect(numbers(first)).toEqual([1])
    expect(numbers(lanes.take(10))).toEqual([2, 4])
    expect(lanes.take(10)).toEqual([])
    lanes.done(first)
    expect(numbers(lanes.take(10))).toEqual([3])
    expect(lanes.size).toBe(0)
  })

  test('clear gives what still waits, and nothing of what is taken', () => {
    const lanes = lanesOf(a1, b2, a3)
    lanes.take(1)
    expect(numbers(lanes.clear())).toEqual([2, 3])
    expect(lanes.size).toBe(0)
  })
})

/** The same in the plainest words: a list, and the set of lanes that are busy. */
class Model {
  waiting: Item[] = []
  readonly busy = new Set<string>()

  take(max: number): Item[] {
    const blocked = new Set(this.busy)
    const taken: Item[] = []
    for (const item of this.waiting) {
      if (taken.length === max) break
      if (item.lane === undefined || !blocked.has(item.lane)) taken.push(item)
    }
    this.waiting = this.waiting.filter((item) => !taken.includes(item))
    for (const { lane } of taken) if (lane !== undefined) this.busy.add(lane)
    return taken
  }

  done(items: readonly Item[]): void {
    for (const { lane } of items) if (lane !== undefined) this.busy.delete(lane)
  }
}

test('property: as the model, whatever comes: order per lane, and no two batches share a lane', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), lane: fc.constantFrom('a', 'b', 'c', undefined) }),
    fc.record({ do: fc.constant('take' as const), max: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant('done' as const), which: fc.nat(100) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const lanes = lanesOf()
      const model = new Model()
      const out: Item[][] = []
      const order = new Map<string, number>()
      for (const [n, action] of steps.entries()) {
        if (action.do === 'add') {
          const item = { n, lane: action.lane }
          lanes.add(item)
          model.waiting.push(item)
        } else if (action.do === 'take') {
          const batch = lanes.take(action.max)
          expect(batch).toEqual(model.take(action.max))
          for (const { lane } of batch) {
            if (lane === undefined) continue
            expect(
              out.flat().some((other) => other.lane === lane),
              `lane ${lane} is in two batches`,
            ).toBe(false)
          }
          for (const { lane, n: at } of batch) {
            if (lane === undefined) continue
            expect(at, `order of lane ${lane}`).toBeGreaterThan(order.get(lane) ?? -1)
            order.set(lane, at)
          }
          if (batch.length > 0) out.push(batch)
        } else if (out.length > 0) {
          const [batch = []] = out.splice(action.which % out.length, 1)
          lanes.done(batch)
          model.done(batch)
        }
        expect(lanes.size).toBe(model.waiting.length)
      }
    }),
    runs(500),
  )
})
