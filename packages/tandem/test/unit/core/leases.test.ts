import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planLeases, type LeaseRow } from '../../../src/core/leases.ts'
import { runs } from '../../support/properties.ts'

const row = (name: string, owner: string | undefined, expiresAt = 100): LeaseRow => ({
  name,
  owner,
  token: 1,
  expiresAt,
})
const names = ['a', 'b', 'c', 'd']

describe('planLeases', () => {
  test('alone, a process takes everything', () => {
    expect(planLeases([], 'me', { names, contenders: 1 }, 0)).toEqual({ take: names, renew: [], release: [] })
  })

  test('it keeps its share and gives the rest up', () => {
    const rows = names.map((name) => row(name, 'me'))
    expect(planLeases(rows, 'me', { names, contenders: 2 }, 0)).toEqual({
      take: [],
      renew: ['a', 'b'],
      release: ['c', 'd'],
    })
  })

  test('what has run out is free for anybody, and for its owner as well', () => {
    const rows = [row('a', 'me', 10), row('b', 'other', 10), row('c', 'other', 11), row('d', undefined, 999)]
    expect(planLeases(rows, 'me', { names, contenders: 1 }, 10)).toEqual({
      take: ['a', 'b', 'd'],
      renew: [],
      release: [],
    })
  })

  test('nobody takes what another holds', () => {
    const rows = names.map((name) => row(name, 'other'))
    expect(planLeases(rows, 'me', { names, contenders: 2 }, 0)).toEqual({ take: [], renew: [], release: [] })
  })

  test('what does not divide evenly leaves nobody with nothing while another has two', () => {
    const rows = [row('a', 'one'), row('b', 'one'), row('c', 'two'), row('d', 'two')]
    expect(planLeases(rows, 'one', { names, contenders: 3 }, 0).release).toEqual(['b'])
  })

  test('a count of contenders that is behind the times does no harm', () => {
    expect(planLeases([], 'me', { names, contenders: 0 }, 0).take).toEqual(names)
    expect(planLeases([], 'me', { names: [], contenders: 3 }, 0)).toEqual({ take: [], renew: [], release: [] })
  })
})

/** Many processes on one lease table, as a store runs `planLeases`: one exchange at a time. */
class World {
  readonly ttl = 10
  now = 0
  readonly rows = new Map<string, LeaseRow>()
  readonly processes = new Map<string, number>()
  readonly #wanted: readonly string[]

  constructor(wanted: readonly string[]) {
    this.#wanted = wanted
  }

  exchange(process: string): readonly string[] {
    const { now, ttl } = this
    this.processes.set(process, now + ttl)
    const contenders = [...this.processes.values()].filter((until) => until > now).length
    const plan = planLeases([...this.rows.values()], process, { names: this.#wanted, contenders }, now)
    for (const name of plan.take) {
      const before = this.rows.get(name)
      expect(
        before === undefined || before.owner === undefined || before.expiresAt <= now,
        'takes only what is free',
      ).toBe(true)
      this.rows.set(name, { name, owner: process, token: (before?.token ?? 0) + 1, expiresAt: now + ttl })
    }
    for (const name of plan.renew) {
      const held = this.rows.get(name)
      expect(held).toMatchObject({ owner: process })
      this.rows.set(name, { ...(held as LeaseRow), expiresAt: now + ttl })
    }
    for (const name of plan.release) {
      const held = this.rows.get(name)
      expect(held).toMatchObject({ owner: process })
      this.rows.set(name, { ...(held as LeaseRow), owner: undefined })
    }
    const lists = [...plan.take, ...plan.renew, ...plan.release]
    expect(new Set(lists).size, 'a name is in one list at most').toBe(lists.length)
    return this.heldBy(process)
  }

  heldBy(process: string): readonly string[] {
    return [...this.rows.values()]
      .filter(({ owner, expiresAt }) => owner === process && expiresAt > this.now)
      .map(({ name }) => name)
  }
}

type Step = { readonly at: 'exchange' | 'sleep'; readonly process: number; readonly ms: number }

describe('properties', () => {
  const count = fc.integer({ min: 1, max: 9 })
  const step = fc.record<Step>({
    at: fc.constantFrom('exchange', 'exchange', 'exchange', 'sleep'),
    process: fc.nat(5),
    ms: fc.nat(15),
  })

  test('never two owners; alive, the processes come to an even share; what the dead held is taken after its time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 12 }), fc.array(step, { maxLength: 60 }), count, (size, steps, living) => {
        const wanted = Array.from({ length: size }, (_, i) => `work/${i}`)
        const world = new World(wanted)
        for (const { at, process, ms } of steps) {
          if (at === 'exchange') world.exchange(`p${process}`)
          else world.now += ms
        }
        // From here some processes live, among them new ones, and the others are dead.
        const alive = Array.from({ length: living }, (_, i) => `p${i + 3}`)
        world.now += world.ttl
        for (let round = 0; round < 4; round++) {
          for (const process of alive) world.exchange(process)
          world.now += world.ttl / 3
        }
        for (const process of alive) world.exchange(process)
        const shares = alive.map((process) => world.heldBy(process).length)
        expect(
          shares.reduce((sum, share) => sum + share, 0),
          'nothing is left over',
        ).toBe(size)
        expect(Math.max(...shares) - Math.min(...shares), `even: ${shares.join(', ')}`).toBeLessThanOrEqual(1)
        // And it stays: nobody's lease moves any more.
        const owners = [...world.rows.values()].map(({ name, owner, token }) => [name, owner, token])
        for (const process of alive) world.exchange(process)
        expect([...world.rows.values()].map(({ name, owner, token }) => [name, owner, token])).toEqual(owners)
      }),
      runs(300),
    )
  })

  test('a lease that changes hands gets a later token', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const world = new World(['a', 'b', 'c'])
        const seen = new Map<string, string>()
        for (const { at, process, ms } of steps) {
          if (at === 'sleep') world.now += ms
          else world.exchange(`p${process}`)
          for (const { name, owner, token } of world.rows.values()) {
            if (owner === undefined) continue
            const holder = seen.get(`${name}/${token}`)
            expect(holder ?? owner, `${name} with token ${token} has one owner for ever`).toBe(owner)
            seen.set(`${name}/${token}`, owner)
          }
        }
      }),
      runs(200),
    )
  })
})
