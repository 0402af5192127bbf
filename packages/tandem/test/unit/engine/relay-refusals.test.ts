// What the relay does with outcomes that are no confirmation.
import { describe, expect, test } from 'vitest'
import { TandemError } from '../../../src/core/errors.ts'
import { message } from '../../../src/core/message.ts'
import { until } from '../../support/clock.ts'
import { confirmed, numberIn, permanent, retryable, ScriptedBroker, unknown } from '../../support/engine.ts'
import { held, relayKit, unsent } from '../../support/relay.ts'

describe('a message that the broker refuses', () => {
  test('for now waits, longer each time, and holds back only its key', async () => {
    const kit = await relayKit()
    kit.broker.answer = (one) => (numberIn(one) === 1 ? retryable : confirmed)
    for (const [n, key] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, 'a'],
      [5, undefined],
    ] as const) {
      await kit.send(n, key)
    }
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1, 3, 5]])
    expect(held(kit)).toEqual([
      [1, 'waiting'],
      [2, 'behind'],
      [4, 'behind'],
    ])
    expect(kit.of('message.held')).toMatchObject([{ error: 'Error: not now', delay: 50 }])
    const delays = [50]
    for (let i = 0; i < 3; i++) {
      kit.clock.jump(2000)
      await kit.tick()
      delays.push(kit.of('message.held').at(-1)?.delay ?? 0)
    }
    expect(delays).toEqual([50, 100, 200, 400])
    expect(kit.broker.calls.slice(1)).toEqual([[1], [1], [1]])

    // One that is sent now must not pass the others of its key.
    await kit.send(6, 'a')
    await kit.tick()
    expect(kit.broker.calls.at(-1)).toEqual([1])
    expect(held(kit)).toContainEqual([6, 'behind'])

    kit.broker.answer = () => confirmed
    for (let i = 0; i < 3; i++) {
      kit.clock.jump(2000)
      await kit.tick()
    }
    expect(kit.broker.calls.slice(4).flat()).toEqual([1, 2, 4, 6])
    expect([unsent(kit), held(kit)]).toEqual([[], []])
  })

  test('is not asked before its time', async () => {
    const kit = await relayKit()
    kit.broker.answer = () => retryable
    await kit.send(1)
    await kit.tick()
    kit.clock.jump(49)
    await kit.tick()
    expect(kit.broker.calls).toHaveLength(1)
    kit.clock.jump(1)
    await kit.tick()
    expect(kit.broker.calls).toHaveLength(2)
  })

  test('for good is unsendable at once; the rest of its key waits, and all others go on', async () => {
    const kit = await relayKit()
    kit.broker.answer = (one) => (numberIn(one) === 1 ? permanent : confirmed)
    await kit.send(1, 'a')
    await kit.send(2, 'a')
    await kit.send(3, 'b')
    await kit.tick()
    expect(held(kit)).toEqual([
      [1, 'unsendable'],
      [2, 'behind'],
    ])
    expect(kit.of('message.unsendable')).toMatchObject([{ type: 'numbered', error: 'Error: never' }])
    kit.clock.jump(100_000_000)
    await kit.tick()
    expect(kit.broker.calls, 'nobody tries it again').toEqual([[1, 3]])
    // A person decides.
    expect(await kit.store.admin.discardHeld(kit.of('message.unsendable')[0]?.id ?? '', { by: 'kim' })).toBe(true)
    await kit.tick()
    expect(kit.broker.calls.at(-1)).toEqual([2])
  })

  test('without a key holds back nothing at all', async () => {
    const kit = await relayKit()
    kit.broker.answer = (one) => (numberIn(one) === 1 ? permanent : confirmed)
    await kit.send(1)
    await kit.send(2)
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1, 2]])
    expect([unsent(kit), held(kit)]).toEqual([[], [[1, 'unsendable']]])
  })

  test('for longer than giveUpAfter becomes unsendable, and a person’s retry gives it as long again', async () => {
    const kit = await relayKit(new ScriptedBroker(), { giveUpAfter: 60_000 })
    kit.broker.answer = () => retryable
    const id = await kit.send(1)
    for (let i = 0; i < 31; i++) {
      await kit.tick()
      kit.clock.jump(2000)
      expect(held(kit)).toEqual([[1, 'waiting']])
    }
    await kit.tick()
    expect(held(kit)).toEqual([[1, 'unsendable']])
    await kit.store.admin.retryHeld(id, { by: 'kim' })
    kit.broker.answer = () => confirmed
    kit.clock.jump(1000)
    await kit.tick()
    expect([unsent(kit), held(kit)]).toEqual([[], []])
  })

  test('does not stop those of other topics with the same key', async () => {
    const kit = await relayKit()
    const Other = message<{ n: number }>('other')
    kit.broker.answer = (one) => (one.topic === 'numbered' ? permanent : confirmed)
    const messages = [await kit.outgoing(1, 'a'), await kit.outgoing(2, 'a', {}, Other)]
    await kit.store.transaction((tx) => kit.store.outbox.insert(tx, messages))
    await kit.tick()
    expect(held(kit)).toEqual([[1, 'unsendable']])
    expect(unsent(kit)).toEqual([])
  })
})

describe('an outcome that nobody knows', () => {
  test.each([
    ['is said to be unknown', unknown],
    ['is missing', undefined],
  ])(
    'because it %s, counts as not confirmed: the message is published again, its key waits',
    async (_name, outcome) => {
      const kit = await relayKit()
      kit.broker.answer = (one) => (numberIn(one) === 1 ? outcome : confirmed)
      await kit.send(1, 'a')
      await kit.send(2, 'a')
      await kit.tick()
      expect(held(kit)).toEqual([
        [1, 'waiting'],
        [2, 'behind'],
      ])
      kit.broker.answer = () => confirmed
      kit.clock.jump(50)
      await kit.tick()
      await kit.tick()
      expect(kit.broker.calls).toEqual([[1], [1], [2]])
      expect([unsent(kit), held(kit)]).toEqual([[], []])
    },
  )

  test('of a whole batch: a broker that answers an empty list loses nothing', async () => {
    const kit = await relayKit()
    kit.broker.publishing = async () => []
    await kit.send(1)
    await kit.send(2, 'a')
    await kit.tick()
    expect(held(kit)).toEqual([
      [1, 'waiting'],
      [2, 'waiting'],
    ])
  })

  test('a broker that keeps a key back: what it kept back waits behind, not with a failure of its own', async () => {
    const kit = await relayKit(new ScriptedBroker({ stopsKeyOnFailure: true }))
    const outcomes = [confirmed, permanent, retryable, retryable]
    kit.broker.publishing = async (messages) => messages.map((_, i) => outcomes[i] ?? confirmed)
    for (const n of [1, 2, 3, 4]) await kit.send(n, 'a')
    await kit.tick()
    expect(held(kit)).toEqual([
      [2, 'unsendable'],
      [3, 'behind'],
      [4, 'behind'],
    ])
    expect(kit.of('message.held')).toEqual([])
  })
})

describe('a broker that does not answer at all', () => {
  const down = new TandemError('BROKER_UNAVAILABLE', 'the broker is not there')

  test('leaves everything in the outbox, in place', async () => {
    const kit = await relayKit()
    kit.broker.publishing = () => Promise.reject(down)
    for (const n of [1, 2, 3]) await kit.send(n, 'a')
    for (let i = 0; i < 3; i++) await expect(kit.tick()).rejects.toBe(down)
    expect(unsent(kit)).toEqual([1, 2, 3])
    expect(held(kit)).toEqual([])
    expect(kit.broker.calls, 'not one call a message').toEqual([[1], [1], [1]])
  })

  test('half way: what was confirmed before is not published again', async () => {
    const kit = await relayKit()
    kit.broker.publishing = async (messages) => {
      if (kit.broker.calls.length === 2) throw down
      return messages.map(() => confirmed)
    }
    for (const n of [1, 2, 3]) await kit.send(n, 'a')
    await expect(kit.tick()).rejects.toBe(down)
    expect(unsent(kit)).toEqual([2, 3])
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1], [2], [2], [3]])
  })

  test('half way: what was refused before is set aside all the same', async () => {
    const kit = await relayKit()
    kit.broker.publishing = async (messages) => {
      if (kit.broker.calls.length === 2) throw down
      return messages.map((one) => (numberIn(one) === 1 ? permanent : confirmed))
    }
    for (const [n, key] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, 'b'],
    ] as const) {
      await kit.send(n, key)
    }
    await expect(kit.tick()).rejects.toBe(down)
    expect(held(kit)).toEqual([
      [1, 'unsendable'],
      [2, 'behind'],
    ])
    expect(unsent(kit)).toEqual([4])
    await kit.tick()
    expect(kit.broker.calls.flat()).not.toContain(2)
    expect(unsent(kit)).toEqual([])
  })

  test('the loop goes on by itself, and drains when the broker is back', async () => {
    const kit = await relayKit()
    kit.broker.publishing = () => Promise.reject(down)
    await kit.send(1)
    await kit.leases.start()
    kit.relay.start()
    await until(() => kit.of('loop.failed').length === 1)
    await kit.clock.advance(60_000)
    expect(kit.of('loop.failed').length).toBeGreaterThan(30)
    kit.broker.publishing = undefined
    await kit.clock.advance(2000)
    await until(() => kit.of('loop.recovered').length === 1)
    expect(unsent(kit)).toEqual([])
    await kit.relay.stop()
    await kit.leases.stop()
  })

  test('a publication that hangs is told to end by stop()', async () => {
    const kit = await relayKit()
    kit.broker.publishing = (_messages, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(down))
      })
    await kit.send(1)
    kit.relay.start()
    await until(() => kit.broker.calls.length === 1)
    await kit.relay.stop()
    expect(unsent(kit)).toEqual([1])
    expect(kit.of('loop.failed')).toEqual([])
  })
})
