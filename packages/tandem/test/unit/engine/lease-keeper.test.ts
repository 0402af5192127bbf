import { describe, expect, test } from 'vitest'
import { LeaseKeeper } from '../../../src/engine/lease-keeper.ts'
import type { Fence } from '../../../src/spi/store.ts'
import { turns, until } from '../../support/clock.ts'
import { engineKit, storeWith } from '../../support/engine.ts'

const TTL = 9000
const NAMES = ['work/0', 'work/1', 'work/2', 'work/3']
const held = (keeper: LeaseKeeper): string[] => NAMES.filter((name) => keeper.get(name) !== undefined)

describe('leases', () => {
  test('are taken at the start and renewed every third of their time', async () => {
    const { runtime, clock, store } = await engineKit()
    let changes = 0
    const keeper = new LeaseKeeper(runtime, TTL, () => void changes++)
    keeper.want(NAMES)
    expect(held(keeper)).toEqual([])
    await keeper.start()
    await until(() => held(keeper).length === 4)
    await turns()
    expect(clock.sleeping).toEqual([TTL / 3])
    const before = keeper.get('work/0')
    // Ten times their length: with the renewals nobody else ever gets them.
    for (let i = 0; i < 30; i++) {
      await clock.advance(TTL / 3)
      expect(held(keeper)).toEqual(NAMES)
    }
    expect(await store.leases.exchange({ id: 'other', host: 'h', pid: 2 }, [NAMES], TTL)).toEqual([])
    expect(keeper.get('work/0'), 'the same token all the time').toEqual(before)
    expect(changes).toBe(1)
    await keeper.stop()
  })

  test('wanted later are taken at once', async () => {
    const { runtime } = await engineKit()
    const keeper = new LeaseKeeper(runtime, TTL, () => undefined)
    await keeper.start()
    await turns()
    keeper.want(['late'])
    await until(() => keeper.get('late') !== undefined)
    await keeper.stop()
  })

  test('are shared with a second process, and nobody holds what the other holds', async () => {
    const { runtime, another, clock } = await engineKit()
    const [one, two] = [runtime, another()].map((of) => new LeaseKeeper(of, TTL, () => undefined))
    one!.want(NAMES)
    two!.want(NAMES)
    await one!.start()
    await until(() => held(one!).length === 4)
    await two!.start()
    for (let i = 0; i < 3; i++) {
      await clock.advance(TTL / 3)
      expect([...held(one!), ...held(two!)].length, 'no name twice').toBe(new Set([...held(one!), ...held(two!)]).size)
    }
    expect([held(one!).length, held(two!).length]).toEqual([2, 2])
    // The second goes, and the first has everything at its next renewal.
    await two!.stop()
    await clock.advance(TTL / 3)
    expect(held(one!)).toEqual(NAMES)
    await one!.stop()
  })

  test('of a process that died come to the others after their time', async () => {
    const { runtime, another, clock } = await engineKit()
    const dying = new LeaseKeeper(another(), TTL, () => undefined)
    dying.want(NAMES)
    await dying.tick()
    const keeper = new LeaseKeeper(runtime, TTL, () => undefined)
    keeper.want(NAMES)
    await keeper.start()
    await turns()
    await clock.advance(TTL - 1)
    expect(held(keeper)).toEqual([])
    await clock.advance(TTL / 3)
    expect(held(keeper)).toEqual(NAMES)
    await keeper.stop()
  })
})

describe('a store that does not answer', () => {
  test('costs the leases, by the process’s own clock, before the database gives them to others', async () => {
    const kit = await engineKit()
    let down = false
    const store = storeWith(kit.store, {
      leases: {
        exchange: (...given) => (down ? Promise.reject(new Error('down')) : kit.store.leases.exchange(...given)),
      },
    })
    const keeper = new LeaseKeeper({ ...kit.runtime, store }, TTL, () => undefined)
    keeper.want(NAMES)
    await keeper.start()
    await until(() => held(keeper).length === 4)
    down = true
    await kit.clock.advance(TTL * 0.9 - 1)
    expect(held(keeper)).toEqual(NAMES)
    await kit.clock.advance(1)
    expect(held(keeper)).toEqual([])
    const other = { id: 'other', host: 'h', pid: 2 }
    expect(await kit.store.leases.exchange(other, [NAMES], TTL)).toEqual([])
    await kit.store.leases.release(other)
    down = false
    await kit.clock.advance(2000)
    expect(held(keeper), 'comes back by itself').toEqual(NAMES)
    expect(kit.of('loop.failed').length).toBeGreaterThan(0)
    await keeper.stop()
  })

  test('counts from before the call, not from the answer', async () => {
    const kit = await engineKit()
    const store = storeWith(kit.store, {
      leases: {
        exchange: async (...given): Promise<readonly Fence[]> => {
          const fences = await kit.store.leases.exchange(...given)
          // The answer was on its way for nearly the whole time.
          kit.clock.jump(TTL * 0.9 - 1)
          return fences
        },
      },
    })
    const keeper = new LeaseKeeper({ ...kit.runtime, store }, TTL, () => undefined)
    keeper.want(NAMES)
    await keeper.tick()
    expect(held(keeper)).toEqual(NAMES)
    kit.clock.jump(1)
    expect(held(keeper)).toEqual([])
  })

  test('does not keep it from stopping', async () => {
    const kit = await engineKit()
    const store = storeWith(kit.store, { leases: { release: () => Promise.reject(new Error('down')) } })
    const keeper = new LeaseKeeper({ ...kit.runtime, store }, TTL, () => undefined)
    keeper.want(NAMES)
    await keeper.start()
    await until(() => held(keeper).length === 4)
    await keeper.stop()
    await keeper.stop()
    expect(held(keeper)).toEqual([])
  })
})

describe('stopping', () => {
  test('gives everything up, so that others need not wait', async () => {
    const { runtime, another } = await engineKit()
    const keeper = new LeaseKeeper(runtime, TTL, () => undefined)
    keeper.want(NAMES)
    await keeper.start()
    await until(() => held(keeper).length === 4)
    await keeper.stop()
    expect(held(keeper)).toEqual([])
    const next = new LeaseKeeper(another(), TTL, () => undefined)
    next.want(NAMES)
    await next.tick()
    expect(held(next)).toEqual(NAMES)
  })

  test('before the start touches nothing', async () => {
    const kit = await engineKit()
    const store = storeWith(kit.store, {
      leases: {
        release: () => {
          throw new Error('was called')
        },
      },
    })
    await new LeaseKeeper({ ...kit.runtime, store }, TTL, () => undefined).stop()
  })
})
