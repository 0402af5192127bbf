import { describe, expect, test } from 'vitest'
import { Retrier, type RetrierSettings } from '../../../src/engine/retrier.ts'
import { readEnvelope } from '../../../src/core/wire.ts'
import type { InboxMessage, RetryMessage } from '../../../src/spi/store.ts'
import { turns, until } from '../../support/clock.ts'
import { engineKit, leasesOn, numberIn, type Kit } from '../../support/engine.ts'

const NO_SIGNAL = new AbortController().signal
const GROUP = 'stock'
const DIED = { error: 'died', stack: '', process: 'host:1' }

async function setUp(settings: Partial<RetrierSettings> = {}) {
  const kit = await engineKit()
  /** Numbers of the messages whose handling was begun, in that order. */
  const begun: number[] = []
  const gates = new Map<number, PromiseWithResolvers<void>>()
  const leases = await leasesOn(kit.runtime, [`retrier/${GROUP}`])
  const retrier = new Retrier(kit.runtime, leases, {
    group: GROUP,
    concurrency: 3,
    handle: async (message) => {
      begun.push(numberIn(message))
      const version = await kit.store.inbox.beginRetry(message, 'host:1', 5000)
      await gates.get(numberIn(message))?.promise
      await kit.store.transaction((tx) =>
        kit.store.inbox.completeRetry(tx, { ...message, version: version ?? message.version }),
      )
    },
    ...settings,
  })
  return {
    ...kit,
    leases,
    retrier,
    begun,
    /** The handling of this message waits until the gate is opened. */
    hold: (n: number) => {
      const gate = Promise.withResolvers<void>()
      gates.set(n, gate)
      return gate
    },
    tick: async () => {
      await leases.tick()
      return retrier.tick(NO_SIGNAL)
    },
  }
}

async function inboxMessage(kit: Kit, n: number, key?: string): Promise<InboxMessage> {
  const outgoing = await kit.outgoing(n, key)
  const { id, type, source, causationId, correlationId } = readEnvelope(outgoing)
  return { ...outgoing, id, type, source, causationId, correlationId, sentAt: 0 }
}

/** Records a message whose first attempt failed. */
async function failed(kit: Kit, n: number, delay = 0, key?: string): Promise<RetryMessage | undefined> {
  const message = await inboxMessage(kit, n, key)
  await kit.store.inbox.recordFailure(GROUP, message, DIED, { state: 'retrying', delay }, key !== undefined)
  const { due } = await kit.store.inbox.due([GROUP], 100)
  return due.find((one) => one.id === message.id)
}

/** Records a message whose process died in a retry; it is due again 1,000 ms later. */
async function diedIn(kit: Kit, n: number): Promise<void> {
  await kit.store.inbox.beginRetry((await failed(kit, n))!, 'host:1', 1000)
}

describe('retries', () => {
  test('begin when they are due, and not before', async () => {
    const kit = await setUp()
    await failed(kit, 1, 700)
    expect(await kit.tick()).toBe(700)
    expect(kit.begun).toEqual([])
    kit.clock.jump(699)
    expect(await kit.tick()).toBe(1)
    kit.clock.jump(1)
    await kit.tick()
    await kit.retrier.settled()
    expect(kit.begun).toEqual([1])
    expect(await kit.tick()).toBe(1000)
  })

  test('run as many at a time as the group allows', async () => {
    const kit = await setUp()
    for (const n of [1, 2, 3, 4, 5]) await failed(kit, n)
    const gates = [1, 2, 3, 4, 5].map(kit.hold)
    await kit.tick()
    await turns()
    expect(kit.begun).toEqual([1, 2, 3])
    await kit.tick()
    expect(kit.begun).toEqual([1, 2, 3])
    gates[1]!.resolve()
    await turns()
    await kit.tick()
    expect(kit.begun).toEqual([1, 2, 3, 4])
    for (const gate of gates) gate.resolve()
    await kit.retrier.settled()
    await kit.tick()
    await kit.retrier.settled()
    expect(kit.begun).toEqual([1, 2, 3, 4, 5])
  })

  test('that are slower than their lease are not begun a second time by the same process', async () => {
    const kit = await setUp()
    await failed(kit, 1)
    const gate = kit.hold(1)
    await kit.tick()
    await turns()
    kit.clock.jump(20_000)
    await kit.tick()
    await turns()
    expect(kit.begun).toEqual([1])
    gate.resolve()
    await kit.retrier.settled()
  })

  test('without the lease nothing is begun', async () => {
    const kit = await setUp()
    await failed(kit, 1)
    const other = kit.another()
    const retrier = new Retrier(other, await leasesOn(other, [`retrier/${GROUP}`]), {
      group: GROUP,
      concurrency: 1,
      handle: () => Promise.reject(new Error('handled without the lease')),
    })
    await retrier.tick(NO_SIGNAL)
    await retrier.settled()
    expect(kit.of('loop.failed')).toEqual([])
    await retrier.tick(NO_SIGNAL)
  })

  test('the end of one wakes the loop for the next', async () => {
    const kit = await setUp({ concurrency: 1 })
    for (const n of [1, 2, 3]) await failed(kit, n)
    kit.retrier.start()
    await until(() => kit.begun.length === 3)
    await kit.retrier.stop()
  })
})

describe('messages whose process died in the last attempt', () => {
  test('are handled alone: after what runs, and nothing beside them', async () => {
    const kit = await setUp()
    await diedIn(kit, 1)
    await diedIn(kit, 2)
    await kit.leases.tick()
    kit.clock.jump(1000)
    await failed(kit, 3)
    await failed(kit, 4)
    const [one, two, three] = [1, 2, 3].map(kit.hold)

    await kit.tick()
    await turns()
    expect(kit.begun, 'the innocent go first').toEqual([3, 4])
    await kit.tick()
    expect(kit.begun, 'one of them still runs').toEqual([3, 4])
    three!.resolve()
    await kit.retrier.settled()

    await kit.tick()
    await turns()
    expect(kit.begun).toEqual([3, 4, 1])
    await failed(kit, 5)
    await kit.tick()
    await turns()
    expect(kit.begun, 'nobody beside it, not even one that is due').toEqual([3, 4, 1])
    one!.resolve()
    await kit.retrier.settled()

    await kit.tick()
    await kit.retrier.settled()
    expect(kit.begun).toEqual([3, 4, 1, 5])
    await kit.tick()
    await turns()
    expect(kit.begun).toEqual([3, 4, 1, 5, 2])
    two!.resolve()
    await kit.retrier.settled()
  })
})

describe('a store that fails', () => {
  test('in a retry is an error of the next tick, once, and the message is tried again later', async () => {
    let fails = true
    const kit = await setUp()
    const tried: number[] = []
    const retrier = new Retrier(kit.runtime, kit.leases, {
      group: GROUP,
      concurrency: 3,
      handle: async (message) => {
        tried.push(numberIn(message))
        if (fails) throw new Error('down')
      },
    })
    await failed(kit, 1)
    await retrier.tick(NO_SIGNAL)
    await retrier.settled()
    await expect(retrier.tick(NO_SIGNAL)).rejects.toThrow('down')
    fails = false
    await retrier.tick(NO_SIGNAL)
    await retrier.settled()
    expect(tried).toEqual([1, 1])
    await retrier.tick(NO_SIGNAL)
  })
})

describe('stopping', () => {
  test('waits for what runs and begins nothing more', async () => {
    const kit = await setUp({ concurrency: 1 })
    await failed(kit, 1)
    await failed(kit, 2)
    const gate = kit.hold(1)
    kit.retrier.start()
    await until(() => kit.begun.length === 1)
    let stopped = false
    const stopping = kit.retrier.stop().then(() => (stopped = true))
    await turns()
    expect(stopped).toBe(false)
    gate.resolve()
    await stopping
    await turns()
    expect(kit.begun).toEqual([1])
  })
})
