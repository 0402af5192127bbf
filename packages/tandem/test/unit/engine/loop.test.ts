import { describe, expect, test } from 'vitest'
import { Events } from '../../../src/core/events.ts'
import { Loop } from '../../../src/engine/loop.ts'
import { SimulatedClock, turns, until } from '../../support/clock.ts'

function setUp(tick: (signal: AbortSignal) => Promise<number>) {
  const clock = new SimulatedClock()
  const events = new Events()
  const told: string[] = []
  events.on('loop.failed', ({ loop, failures }) => told.push(`${loop} failed ${failures}`))
  events.on('loop.recovered', ({ loop, failures }) => told.push(`${loop} recovered ${failures}`))
  const loop = new Loop('test', { clock, events, random: () => 0 }, tick)
  return { clock, told, loop }
}

describe('a loop', () => {
  test('ticks at once, and again after as long as the tick says', async () => {
    let ticks = 0
    const { loop, clock } = setUp(async () => ++ticks * 100)
    loop.start()
    await until(() => ticks === 1)
    await clock.advance(99)
    expect(ticks).toBe(1)
    await clock.advance(1)
    expect(ticks).toBe(2)
    await clock.advance(199)
    expect(ticks).toBe(2)
    await clock.advance(1)
    expect(ticks).toBe(3)
    await loop.stop()
  })

  test('started twice is one loop', async () => {
    let ticks = 0
    const { loop } = setUp(async () => ++ticks * 1000)
    loop.start()
    loop.start()
    await turns()
    expect(ticks).toBe(1)
    await loop.stop()
  })

  test('that always has work lets timers and I/O have their turn', async () => {
    let ticks = 0
    const { loop } = setUp(async () => {
      ticks += 1
      return 0
    })
    loop.start()
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(ticks).toBeGreaterThan(0)
    await loop.stop()
    const after = ticks
    await turns()
    expect(ticks).toBe(after)
  })
})

describe('waking', () => {
  test('runs the next tick now', async () => {
    let ticks = 0
    const { loop, clock } = setUp(async () => ++ticks * 1000)
    loop.start()
    await until(() => ticks === 1)
    loop.wake()
    await until(() => ticks === 2)
    expect(clock.sleeping).toEqual([2000])
    await loop.stop()
  })

  test('in the middle of a tick counts for the sleep after it', async () => {
    let ticks = 0
    const gate = Promise.withResolvers<void>()
    const { loop, clock } = setUp(async () => {
      ticks += 1
      if (ticks === 1) await gate.promise
      return 1000
    })
    loop.start()
    await until(() => ticks === 1)
    loop.wake()
    loop.wake()
    gate.resolve()
    await until(() => ticks === 2)
    await turns()
    expect(ticks, 'twice woken is woken').toBe(2)
    expect(clock.sleeping).toEqual([1000])
    await loop.stop()
  })

  test('before the start is not lost and does no harm', async () => {
    let ticks = 0
    const { loop, clock } = setUp(async () => ++ticks * 1000)
    loop.wake()
    loop.start()
    await until(() => ticks === 1)
    await turns()
    expect(ticks).toBe(1)
    expect(clock.sleeping).toEqual([1000])
    await loop.stop()
    loop.wake()
  })
})

describe('a tick that fails', () => {
  test('is reported and run again after 50, 100, … 2,000 ms, for ever', async () => {
    let ticks = 0
    const { loop, clock, told } = setUp(async () => {
      ticks += 1
      throw new Error('down')
    })
    loop.start()
    await until(() => ticks === 1)
    const delays: (number | undefined)[] = []
    for (let i = 0; i < 9; i++) {
      delays.push(clock.sleeping[0])
      await clock.advance(clock.sleeping[0] ?? 0)
    }
    expect(delays).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000, 2000])
    expect(told.at(-1)).toBe('test failed 10')
    await loop.stop()
  })

  test('backs off in earnest: nobody wakes it early', async () => {
    let ticks = 0
    const { loop, clock } = setUp(async () => {
      ticks += 1
      throw new Error('down')
    })
    loop.start()
    await until(() => ticks === 1)
    loop.wake()
    await turns()
    expect(ticks).toBe(1)
    await clock.advance(50)
    expect(ticks).toBe(2)
    await loop.stop()
  })

  test('and then works says so once, and backs off from the beginning the next time', async () => {
    const script = ['fail', 'fail', 'work', 'work', 'fail']
    const { loop, clock, told } = setUp(async () => {
      if (script.shift() === 'fail') throw new Error('down')
      return 500
    })
    loop.start()
    await until(() => script.length === 4)
    await clock.advance(50 + 100 + 500 + 500)
    expect(told).toEqual(['test failed 1', 'test failed 2', 'test recovered 2', 'test failed 1'])
    expect(clock.sleeping).toEqual([50])
    await loop.stop()
  })

  test('at once, without a promise, fails in the same way', async () => {
    const { loop, told, clock } = setUp(() => {
      throw new Error('at once')
    })
    loop.start()
    await until(() => told.length === 1)
    expect(clock.sleeping).toEqual([50])
    await loop.stop()
  })
})

describe('stopping', () => {
  test('waits for the tick that runs, and tells it', async () => {
    const ticking = Promise.withResolvers<AbortSignal>()
    const gate = Promise.withResolvers<void>()
    const { loop } = setUp(async (signal) => {
      ticking.resolve(signal)
      await gate.promise
      return 0
    })
    loop.start()
    const signal = await ticking.promise
    let stopped = false
    const stopping = loop.stop().then(() => (stopped = true))
    expect(signal.aborted).toBe(true)
    await turns()
    expect(stopped).toBe(false)
    gate.resolve()
    await stopping
  })

  test('ends a sleep, also one of a backoff', async () => {
    let ticks = 0
    const { loop, clock } = setUp(async () => {
      ticks += 1
      throw new Error('down')
    })
    loop.start()
    await until(() => ticks === 1)
    await loop.stop()
    expect(clock.sleeping).toEqual([])
    expect(ticks).toBe(1)
  })

  test('before the start: it never ticks', async () => {
    let ticks = 0
    const { loop } = setUp(async () => ++ticks)
    await loop.stop()
    loop.start()
    await turns()
    expect(ticks).toBe(0)
  })

  test('twice, and a failure on the way, are fine and not reported', async () => {
    const gate = Promise.withResolvers<void>()
    const { loop, told } = setUp(() => gate.promise.then(() => 0))
    loop.start()
    const both = Promise.all([loop.stop(), loop.stop()])
    gate.reject(new Error('interrupted'))
    await both
    await loop.stop()
    expect(told).toEqual([])
  })
})
