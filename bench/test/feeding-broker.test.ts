import { expect, test } from 'vitest'
import type { Delivery, WireMessage } from 'tandem/spi'
import { feedingBroker } from '../src/harness/feeding-broker.ts'

test('delivers as many as may be in flight, then one for each ack', async () => {
  const { broker, feed } = feedingBroker()
  const got: Delivery[] = []
  await broker.consume({ group: 'stock', topics: ['t'], maxInFlight: 2 }, (delivery) => void got.push(delivery))
  const messages: WireMessage[] = ['a', 'b', 'c'].map((key) => ({
    topic: 't',
    key,
    headers: {},
    body: new Uint8Array(),
  }))
  const fed = feed(messages)
  expect(got.map(({ message }) => message.key)).toEqual(['a', 'b'])
  got[1]?.ack()
  expect(got.map(({ message }) => message.key)).toEqual(['a', 'b', 'c'])
  got[0]?.ack()
  got[2]?.ack()
  expect(await fed).toBeGreaterThan(0)
})
