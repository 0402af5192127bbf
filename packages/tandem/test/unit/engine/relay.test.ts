import { afterEach, describe, expect, test } from 'vitest'
import { Relay } from '../../../src/engine/relay.ts'
import { failAt, SimulatedCrash } from '../../../src/testing/index.ts'
import { confirmed, leasesOn, ScriptedBroker, storeWith } from '../../support/engine.ts'
import { NO_SIGNAL, relayKit, SHARDS, unsent } from '../../support/relay.ts'

describe('what the broker confirms', () => {
  test('is gone from the outbox, in order, and told', async () => {
    const kit = await relayKit()
    const ids = [await kit.send(1, 'a'), await kit.send(2), await kit.send(3, 'b')]
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1, 2, 3]])
    expect(unsent(kit)).toEqual([])
    expect(kit.of('message.published').map(({ id }) => id)).toEqual(ids)
  })

  test('is deleted, and nothing that came meanwhile', async () => {
    const kit = await relayKit()
    await kit.send(1)
    kit.broker.publishing = async (messages) => {
      await kit.send(2)
      return messages.map(() => confirmed)
    }
    await kit.tick()
    expect(unsent(kit)).toEqual([2])
  })

  test('a full batch is followed by another look at once', async () => {
    const kit = await relayKit(new ScriptedBroker(), { batchSize: 2 })
    for (const n of [1, 2, 3]) await kit.send(n)
    expect(await kit.tick()).toBe(0)
    expect(await kit.tick()).toBe(1)
    expect(kit.broker.calls).toEqual([[1, 2], [3]])
  })

  test('the messages of one key never share a call, if the broker does not keep a key back', async () => {
    const kit = await relayKit()
    for (const [n, key] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, 'a'],
      [5, undefined],
      [6, undefined],
      [7, 'b'],
    ] as const) {
      await kit.send(n, key)
    }
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1, 3, 5, 6], [2, 7], [4]])
  })

  test('they do share one if the broker keeps a key back', async () => {
    const kit = await relayKit(new ScriptedBroker({ stopsKeyOnFailure: true }))
    for (const n of [1, 2, 3]) await kit.send(n, 'a')
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1, 2, 3]])
  })
})

describe('leases', () => {
  test('without one nothing is read or published', async () => {
    const kit = await relayKit()
    await kit.send(1)
    const other = kit.another()
    const relay = new Relay(other, await leasesOn(other, SHARDS), { batchSize: 500, pollInterval: 77, giveUpAfter: 1 })
    expect(await relay.tick(NO_SIGNAL)).toBe(77)
    expect(kit.broker.calls).toEqual([])
  })

  test('one that was lost while the broker was slow: nothing is changed, the new owner publishes again', async () => {
    const kit = await relayKit()
    await kit.send(1)
    const other = kit.another()
    kit.broker.publishing = async (messages) => {
      kit.clock.jump(10_001)
      await leasesOn(other, SHARDS)
      return messages.map(() => confirmed)
    }
    await expect(kit.relay.tick(NO_SIGNAL)).rejects.toMatchObject({ code: 'LEASE_LOST' })
    expect(unsent(kit)).toEqual([1])
    await kit.relay.tick(NO_SIGNAL)
    expect(kit.broker.calls, 'it knows that it has lost them').toEqual([[1]])
  })
})

describe('a process that dies', () => {
  const disarm: (() => void)[] = []
  afterEach(() => disarm.splice(0).forEach((one) => one()))

  test.each([
    ['relay.read', [1], [[1]]],
    ['relay.published', [1], [[1], [1]]],
    ['relay.removed', [], [[1]]],
  ] as const)('at %s leaves what the next one can go on with', async (point, left, calls) => {
    const kit = await relayKit()
    await kit.send(1)
    disarm.push(failAt(point))
    await expect(kit.tick()).rejects.toBeInstanceOf(SimulatedCrash)
    expect(unsent(kit)).toEqual(left)
    await kit.tick()
    expect(unsent(kit)).toEqual([])
    expect(kit.broker.calls).toEqual(calls)
  })
})

test('a store that fails after the publication: the messages stay and are published again', async () => {
  const kit = await relayKit()
  await kit.send(1)
  let fails = true
  const store = storeWith(kit.store, {
    outbox: {
      remove: (...given) => (fails ? Promise.reject(new Error('down')) : kit.store.outbox.remove(...given)),
    },
  })
  const runtime = { ...kit.runtime, store }
  const relay = new Relay(runtime, await leasesOn(runtime, SHARDS), {
    batchSize: 500,
    pollInterval: 100,
    giveUpAfter: 1,
  })
  await expect(relay.tick(NO_SIGNAL)).rejects.toThrow('down')
  fails = false
  await relay.tick(NO_SIGNAL)
  expect(kit.broker.calls).toEqual([[1], [1]])
  expect(unsent(kit)).toEqual([])
})
