// When the relay looks at the outbox.
import { describe, expect, test } from 'vitest'
import { turns, until } from '../../support/clock.ts'
import { confirmed, ScriptedBroker } from '../../support/engine.ts'
import { relayKit } from '../../support/relay.ts'

describe('the time of the next look', () => {
  test('is the poll interval when nothing hints at work', async () => {
    const kit = await relayKit()
    expect(await kit.tick()).toBe(100)
  })

  test('is close after a hint, and goes back to the interval after 2 s', async () => {
    const kit = await relayKit()
    kit.relay.hint()
    const looks: number[] = []
    for (let age = 0; age <= 2500; age += 100) {
      looks.push(await kit.tick())
      kit.clock.jump(100)
    }
    expect(looks.slice(0, 3)).toEqual([1, 13, 16])
    expect(looks.slice(0, 21).every((ms) => ms <= 16)).toBe(true)
    expect(looks.slice(21).every((ms) => ms >= 100 && ms <= 125)).toBe(true)
  })

  test('is close after messages that nobody had hinted at: another process sends', async () => {
    const kit = await relayKit()
    await kit.send(1)
    expect(await kit.tick()).toBe(1)
  })

  test('grows to three times the interval when nothing comes for long', async () => {
    const kit = await relayKit()
    const looks: number[] = []
    for (let age = 0; age <= 20_000; age += 1000) {
      looks.push(await kit.tick())
      kit.clock.jump(1000)
    }
    expect(looks.slice(0, 6)).toEqual([100, 100, 100, 150, 200, 250])
    expect(looks.at(-1)).toBe(300)
  })

  test('is later, the longer a round takes, so that senders get their turn, and no hint changes that', async () => {
    const kit = await relayKit()
    const takes = (ms: number) => {
      kit.broker.publishing = async (messages) => {
        kit.clock.jump(ms)
        return messages.map(() => confirmed)
      }
    }
    takes(1)
    await kit.send(1)
    expect(await kit.tick()).toBe(3)
    takes(50)
    await kit.send(2)
    expect(await kit.tick()).toBe(5)

    takes(1)
    kit.relay.start()
    await until(() => kit.clock.sleeping.length === 1)
    await kit.send(3)
    kit.clock.jump(100)
    kit.relay.hint()
    await until(() => kit.broker.calls.length === 3)
    await kit.send(4)
    kit.relay.hint()
    await turns()
    kit.relay.hint()
    await turns()
    expect(kit.broker.calls).toHaveLength(3)
    await kit.clock.advance(6)
    expect(kit.broker.calls).toHaveLength(4)
    await kit.relay.stop()
  })

  test('is no later than a delayed message is due', async () => {
    const kit = await relayKit(new ScriptedBroker(), { pollInterval: 5000 })
    await kit.send(1, undefined, { deliverAt: new Date(kit.clock.now() + 700) })
    expect(await kit.tick()).toBe(700)
    expect(kit.broker.calls).toEqual([])
    kit.clock.jump(699)
    await kit.tick()
    expect(kit.broker.calls).toEqual([])
    kit.clock.jump(1)
    await kit.tick()
    expect(kit.broker.calls).toEqual([[1]])
  })

  test('a hint wakes the loop', async () => {
    const kit = await relayKit(new ScriptedBroker(), { pollInterval: 5000 })
    kit.relay.start()
    await until(() => kit.clock.sleeping.length === 1)
    await kit.send(1)
    kit.relay.hint()
    await until(() => kit.broker.calls.length === 1)
    await kit.relay.stop()
  })
})
