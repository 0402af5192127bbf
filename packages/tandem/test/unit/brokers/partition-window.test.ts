import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PartitionWindow, type WindowEntry } from '../../../src/core/partition-window.ts'

interface ModelEntry {
  readonly sequence: number
  readonly key: string | undefined
  state: 'waiting' | 'out' | 'done'
  due: number
  delivery: number
}

/** The same, without any of the indexes: one list, looked through from the start each time. */
class Model {
  readonly entries: ModelEntry[] = []

  add(sequence: number, key: string | undefined): void {
    this.entries.push({ sequence, key, state: 'waiting', due: 0, delivery: 0 })
  }

  mayGo(entry: ModelEntry, now: number): boolean {
    const before = this.entries.filter(({ key, sequence }) => key === entry.key && sequence < entry.sequence)
    const first = entry.key === undefined || before.every(({ state }) => state !== 'waiting')
    return entry.state === 'waiting' && entry.due <= now && first
  }

  get position(): number {
    const open = this.entries.findIndex(({ state }) => state !== 'done')
    const done = open < 0 ? this.entries.length : open
    return this.entries[done - 1]?.sequence ?? 0
  }
}

type Step =
  | { readonly is: 'add'; readonly key: string | undefined; readonly gap: number }
  | { readonly is: 'next' | 'all' }
  | { readonly is: 'ack'; readonly pick: number }
  | { readonly is: 'nack'; readonly pick: number; readonly delay: number }
  | { readonly is: 'wait'; readonly ms: number }

const key = fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ is: fc.constant('add' as const), key, gap: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ is: fc.constant('next' as const) }) },
  { weight: 4, arbitrary: fc.record({ is: fc.constant('ack' as const), pick: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('nack' as const), pick: fc.nat(20), delay: fc.nat(10) }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('wait' as const), ms: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('all' as const) }) },
)

/** Walks the window and the model side by side. */
class Walk {
  readonly window = new PartitionWindow<string>(0)
  readonly model = new Model()
  now = 0
  #sequence = 0

  take(one: Step): void {
    const { window, model } = this
    const out = model.entries.filter(({ state }) => state === 'out')
    switch (one.is) {
      case 'add':
        this.#sequence += one.gap
        window.add(this.#sequence, one.key, `item ${this.#sequence}`)
        model.add(this.#sequence, one.key)
        break
      case 'next':
        this.next()
        break
      case 'all':
        window.giveBackAll()
        for (const entry of out) Object.assign(entry, { state: 'waiting', due: 0 })
        break
      case 'wait':
        this.now += one.ms
        break
      case 'ack':
      case 'nack': {
        const entry = out[one.pick % Math.max(1, out.length)]
        if (entry === undefined) return
        // A settlement of an earlier delivery changes nothing.
        expect(window.ack(entry.sequence, entry.delivery - 1)).toBe(false)
        if (one.is === 'ack') {
          expect(window.ack(entry.sequence, entry.delivery)).toBe(true)
          entry.state = 'done'
        } else {
          expect(window.giveBack(entry.sequence, entry.delivery, this.now + one.delay)).toBe(true)
          Object.assign(entry, { state: 'waiting', due: this.now + one.delay })
        }
      }
    }
    expect(window.position).toBe(model.position)
    expect(window.out).toBe(model.entries.filter(({ state }) => state === 'out').length)
  }

  next(): WindowEntry<string> | undefined {
    const may = this.model.entries.filter((entry) => this.model.mayGo(entry, this.now))
    const got = this.window.next(this.now)
    expect(got?.sequence).toBe(may[0]?.sequence)
    if (got === undefined) return undefined
    const [entry] = may as [ModelEntry]
    entry.state = 'out'
    entry.delivery += 1
    expect(got).toMatchObject({ deliveries: entry.delivery, item: `item ${got.sequence}`, key: entry.key })
    return got
  }
}

describe('a window over a partition', () => {
  test('gives out the first message that may go, and knows how far everything is passed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const walk = new Walk()
        for (const one of steps) walk.take(one)
        // Whatever happened, it ends when everything is acked.
        walk.now += 100
        walk.take({ is: 'all' })
        for (let entry = walk.next(); entry !== undefined; entry = walk.next()) walk.take({ is: 'ack', pick: 0 })
        expect(walk.model.entries.every(({ state }) => state === 'done')).toBe(true)
        expect(walk.window.size).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  test('says when something that was given back may go again', () => {
    const window = new PartitionWindow<number>(0)
    for (const n of [1, 2, 3]) window.add(n, `key${n}`, n)
    for (const n of [1, 2, 3]) window.giveBack(window.next(0)?.sequence ?? 0, 1, n * 10)
    expect(window.nextDue(0)).toBe(10)
    expect(window.nextDue(10)).toBe(20)
    expect(window.next(15)?.sequence).toBe(1)
    expect(window.nextDue(30)).toBeUndefined()
  })

  test('sets a bounded number of messages aside behind one that is given back', () => {
    const window = new PartitionWindow<number>(0)
    for (let n = 1; n <= 5000; n++) window.add(n, n === 4000 ? 'other' : 'stuck', n)
    window.next(0)
    window.giveBack(1, 1, 1_000_000)
    // The other key is too far behind to be found.
    expect(window.next(0)).toBeUndefined()
    expect(window.next(1_000_000)?.sequence).toBe(1)
    for (let n = 2; n <= 5000; n++) expect(window.next(1_000_000)?.sequence).toBe(n)
  })

  test('keeps no message that is passed', () => {
    const window = new PartitionWindow<number>(0)
    for (let n = 1; n <= 10_000; n++) {
      window.add(n, 'a', n)
      window.next(0)
      window.ack(n, 1)
      expect(window.size).toBe(0)
    }
    expect(window.position).toBe(10_000)
  })
})
