import { describe, expect, test } from 'vitest'
import { memory } from '../../../src/brokers/memory/index.ts'
import { numbered, publishTo, series, textMessage, textOf } from '../../../src/conformance/broker-kit.ts'
import { uuidv7 } from '../../../src/core/ids.ts'
import type { WireMessage } from '../../../src/core/wire.ts'
import type { Broker, Delivery } from '../../../src/spi/broker.ts'
import { SimulatedClock } from '../../support/clock.ts'
import { refusal, thrown } from '../../support/errors.ts'

const service = { service: 'test' }
const subscription = { group: 'group', topics: ['topic'], maxInFlight: 100 }

async function opened<B extends Broker>(broker: B): Promise<B> {
  await broker.open(service)
  return broker
}

/** With an id that is the same in every run. */
function fixed(key: string, text: string): WireMessage {
  const message = textMessage('topic', key, text)
  return { ...message, headers: { ...message.headers, 'ce-id': text } }
}

describe('the memory broker', () => {
  test('delivers after the stack of whoever published, and after consume() has returned', async () => {
    const broker = await opened(memory())
    const events: string[] = []
    await publishTo(broker, series('topic', 'a', 1))
    await broker.consume(subscription, (delivery) => {
      events.push(textOf(delivery.message))
      delivery.ack()
    })
    events.push('consume returned')
    await new Promise((resolve) => setImmediate(resolve))
    const publishing = publishTo(broker, series('topic', 'a', 1, 2))
    events.push('publish called')
    await publishing
    await new Promise((resolve) => setImmediate(resolve))
    expect(events).toEqual(['consume returned', 'a-1', 'publish called', 'a-2'])
    await broker.close(0)
  })

  test('does the same things in the same order every time, and waits for no time but that of its clock', async () => {
    const runs: string[][] = []
    for (let run = 0; run < 2; run++) {
      const clock = new SimulatedClock()
      const broker = await opened(memory({ clock }))
      const events: string[] = []
      for (const name of ['one', 'two', 'three']) {
        await broker.consume({ ...subscription, maxInFlight: 3 }, (delivery) => {
          events.push(`${clock.monotonic()} ${name} ${textOf(delivery.message)} ${delivery.attempt}`)
          if (delivery.attempt < 3 && delivery.message.key !== 'key1') delivery.nack(100 * delivery.attempt)
          else delivery.ack()
        })
      }
      await publishTo(
        broker,
        Array.from({ length: 30 }, (_, index) => fixed(`key${index % 7}`, `text${index}`)),
      )
      await clock.advance(10_000)
      expect(new Set(events.map((event) => event.split(' ')[2]))).toHaveLength(30)
      expect(clock.sleeping).toEqual([])
      runs.push(events)
      await broker.close(0)
    }
    expect(runs[0]).toEqual(runs[1])
    expect(runs[0]?.some((event) => event.startsWith('100 '))).toBe(true)
  })

  test('as one object for several instances, closes for the last of them', async () => {
    const broker = memory()
    await broker.open({ service: 'one' })
    await broker.open({ service: 'two' })
    const got: string[] = []
    await broker.consume(subscription, (delivery) => {
      got.push(textOf(delivery.message))
      delivery.ack()
    })
    await broker.close(0)
    await publishTo(broker, series('topic', 'a', 1))
    await new Promise((resolve) => setImmediate(resolve))
    expect(got).toEqual(['a-1'])
    await broker.close(0)
    await refusal('LIFECYCLE', () => publishTo(broker, series('topic', 'a', 1)))
    await broker.open({ service: 'one' })
    await publishTo(broker, series('topic', 'a', 1, 2))
    expect(got).toEqual(['a-1'])
  })

  test('keeps what a group has not passed, and a bounded number of what all have', async () => {
    const broker = await opened(memory({ retain: 5 }))
    const groups = ['fast', 'slow'].map((group) => ({ group, topics: ['topic'] }))
    await broker.ensure({ topics: [], groups })
    const id = uuidv7()
    const first = textMessage('topic', 'a', 'first')
    await publishTo(broker, [{ ...first, headers: { ...first.headers, 'ce-id': id } }])
    const consumption = await broker.consume({ ...subscription, group: 'fast' }, (delivery) => delivery.ack())
    const kept = async (): Promise<number> => Number.parseInt((await broker.health()).detail, 10)
    await publishTo(broker, series('topic', 'a', 100))
    await new Promise((resolve) => setImmediate(resolve))
    expect(await kept()).toBe(101)
    expect((await broker.find?.(id))?.groups).toEqual([
      { group: 'fast', passed: true },
      { group: 'slow', passed: false },
    ])
    await broker.consume({ ...subscription, group: 'slow' }, (delivery) => delivery.ack())
    await new Promise((resolve) => setImmediate(resolve))
    expect(await kept()).toBeLessThanOrEqual(10)
    expect(await broker.find?.(id)).toBeUndefined()
    await consumption.stop(0)
    const late: string[] = []
    await broker.consume({ ...subscription, group: 'late' }, (delivery) => void late.push(textOf(delivery.message)))
    await new Promise((resolve) => setImmediate(resolve))
    expect(late.length).toBeGreaterThanOrEqual(5)
    expect(late).toEqual(numbered('a', 100).slice(-late.length))
    await broker.close(0)
  })

  test('gives a message again a second after the consumer threw, and delivers the others', async () => {
    const clock = new SimulatedClock()
    const broker = await opened(memory({ clock }))
    const got: string[] = []
    await broker.consume(subscription, (delivery: Delivery) => {
      got.push(`${clock.monotonic()} ${textOf(delivery.message)}`)
      if (delivery.message.key === 'bad' && delivery.attempt === 1) throw new Error('a mistake of the consumer')
      delivery.ack()
    })
    await publishTo(broker, [...series('topic', 'bad', 1), ...series('topic', 'good', 1)])
    await clock.advance(2000)
    expect(got.toSorted()).toEqual(['0 bad-1', '0 good-1', '1000 bad-1'])
    await broker.close(0)
  })

  test('refuses options that it does not know, or that make no sense', () => {
    thrown('OPTION_UNKNOWN', () => memory({ retian: 5 } as object))
    thrown('CONFIG_INVALID', () => memory({ retain: 0 }))
    thrown('CONFIG_INVALID', () => memory({ maxBodyBytes: 1.5 }))
  })

  test('refuses to publish what was given up before', async () => {
    const broker = await opened(memory())
    const signal = AbortSignal.abort(new Error('too late'))
    const error = await refusal('BROKER_UNAVAILABLE', () => broker.publish(series('topic', 'a', 1), { signal }))
    expect(error.cause).toMatchObject({ message: 'too late' })
    await broker.close(0)
  })
})
