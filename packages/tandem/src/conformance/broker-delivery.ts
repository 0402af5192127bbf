import assert from 'node:assert/strict'
import {
  ackEach,
  brokerCases,
  DEADLINE,
  numbered,
  series,
  textMessage,
  textOf,
  texts,
  type BrokerConformanceOptions,
} from './broker-kit.ts'
import type { ConformanceCase } from './case.ts'
import { someTurns } from './driver-kit.ts'

/** One member: acks, nacks, pausing, stopping. */
export function deliveryCases(options: BrokerConformanceOptions): ConformanceCase[] {
  const it = brokerCases(options, 'delivery')
  const { countsDeliveries } = options.capabilities

  return [
    it('delivers what was published before and after the member came, each once', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 5))
      const member = await consume({ each: ackEach })
      await member.count(5)
      await publish(series(topic, 'a', 5, 6))
      await member.count(10)
      assert.deepEqual(texts(member.deliveries), numbered('a', 10))
      assert.ok(member.deliveries.every(({ attempt }) => attempt === 1))
    }),

    it('delivers a backlog of some thousands, each once, in the order of the keys', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      const keys = Array.from({ length: 30 }, (_, index) => `key${index}`)
      await publish(keys.flatMap((key) => series(topic, key, 100)))
      // Acks come late and out of order.
      const member = await consume({
        maxInFlight: 200,
        each: (delivery) => setTimeout(() => delivery.ack(), Math.random() * 5),
      })
      await member.count(3000)
      for (const key of keys) assert.deepEqual(texts(member.deliveries, key), numbered(key, 100))
      assert.equal(member.deliveries.length, 3000)
    }),

    it('delivers several topics to one member', async ({ broker, topic, group, name, publish, consume }) => {
      const second = name('second-topic')
      await broker.ensure({ topics: [topic, second], groups: [{ group, topics: [topic, second] }] })
      await publish([...series(topic, 'a', 3), ...series(second, 'a', 3, 4)])
      const member = await consume({ topics: [topic, second], each: ackEach })
      await member.count(6)
      const from = (one: string): string[] => texts(member.deliveries.filter(({ message }) => message.topic === one))
      assert.deepEqual(from(topic), numbered('a', 3))
      assert.deepEqual(from(second), numbered('a', 3, 4))
    }),

    it('never delivers again what was acked before an orderly stop', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(['a', 'b', 'c'].flatMap((key) => series(topic, key, 10)))
      const first = await consume({ each: ackEach })
      await first.count(30)
      await first.consumption.stop(DEADLINE)
      await publish(['a', 'b', 'c'].flatMap((key) => series(topic, key, 1, 11)))
      const second = await consume({ each: ackEach })
      await second.count(3)
      assert.deepEqual(texts(second.deliveries).toSorted(), ['a-11', 'b-11', 'c-11'])
    }),

    it('delivers again what was nacked: after the delay, and before the later ones of its key', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 3))
      let nackedAt = 0
      const member = await consume({
        maxInFlight: 1,
        each: (delivery) => {
          if (nackedAt > 0) return delivery.ack()
          nackedAt = performance.now()
          return delivery.nack(200)
        },
      })
      await member.count(2)
      const waited = performance.now() - nackedAt
      assert.ok(waited >= 190, `delivered again after ${Math.round(waited)} ms, which is before its 200`)
      await member.count(4)
      assert.deepEqual(texts(member.deliveries), ['a-1', 'a-1', 'a-2', 'a-3'])
      const attempt = member.deliveries[1]?.attempt
      assert.equal(attempt, countsDeliveries ? 2 : 1, 'attempt of the second delivery')
    }),

    it('delivers a run of a key again in order when all of it is nacked', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 5))
      const member = await consume()
      const held = [...(await member.count(5))]
      // The last first, and due first.
      for (const [index, delivery] of held.entries()) delivery.nack((held.length - index) * 20)
      const again: string[] = []
      for (let n = 6; n <= 10; n++) {
        const delivery = (await member.count(n))[n - 1]
        assert.ok(delivery)
        again.push(textOf(delivery.message))
        delivery.ack()
      }
      assert.deepEqual(again, numbered('a', 5))
    }),

    it('goes on with other keys while one is nacked', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      const member = await consume({
        each: (delivery) => (delivery.message.key === 'bad' ? delivery.nack(50) : delivery.ack()),
      })
      await publish(series(topic, 'bad', 1))
      await member.count(1)
      await publish(Array.from({ length: 40 }, (_, index) => textMessage(topic, `good${index}`, `good-${index}`)))
      await member.until(() => new Set(texts(member.deliveries).filter((text) => text.startsWith('good'))).size === 40)
    }),

    it('has no more out than maxInFlight', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      await publish(Array.from({ length: 50 }, (_, index) => textMessage(topic, `key${index}`, `text-${index}`)))
      let settled = 0
      let most = 0
      const member = await consume({ maxInFlight: 3 })
      while (settled < 50) {
        await member.count(Math.min(50, settled + 3))
        await someTurns()
        most = Math.max(most, member.deliveries.length - settled)
        member.deliveries[settled]?.ack()
        settled += 1
      }
      assert.equal(most, 3)
      assert.equal(new Set(texts(member.deliveries)).size, 50)
    }),

    it('delivers nothing between pause and resume', async ({ topic, group, name, ensure, publish, consume }) => {
      const witnesses = name('witnesses')
      await ensure(group, witnesses)
      const paused = await consume({ each: ackEach })
      const witness = await consume({ group: witnesses, each: ackEach })
      await publish(series(topic, 'a', 1))
      await paused.count(1)
      paused.consumption.pause()
      await publish(series(topic, 'a', 3, 2))
      await witness.count(4)
      await someTurns()
      assert.equal(paused.deliveries.length, 1)
      paused.consumption.resume()
      await paused.count(4)
      assert.deepEqual(texts(paused.deliveries), numbered('a', 4))
    }),

    it('takes acks while it is paused', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      await publish(series(topic, 'a', 2))
      const first = await consume()
      await first.count(2)
      first.consumption.pause()
      for (const delivery of first.deliveries) delivery.ack()
      await first.consumption.stop(DEADLINE)
      await publish(series(topic, 'a', 1, 3))
      const second = await consume({ each: ackEach })
      await second.count(1)
      assert.deepEqual(texts(second.deliveries), ['a-3'])
    }),

    it('gives back what is out when it stops, and then takes no ack for it', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 3))
      const first = await consume()
      await first.count(3)
      await first.consumption.stop(DEADLINE)
      first.deliveries[0]?.ack()
      first.deliveries[1]?.nack(0)
      await first.consumption.stop(DEADLINE)
      const second = await consume({ each: ackEach })
      await second.count(3)
      assert.deepEqual(texts(second.deliveries), numbered('a', 3))
      const attempts = second.deliveries.map(({ attempt }) => attempt)
      assert.ok(
        countsDeliveries ? attempts.every((attempt) => attempt > 1) : attempts.every((attempt) => attempt === 1),
        `attempts after one delivery without an ack: ${attempts.join(', ')}`,
      )
      assert.equal(first.deliveries.length, 3, 'nothing is delivered to a consumption that has stopped')
    }),

    it('settles a delivery once: what comes after an ack or a nack does nothing', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 2))
      const member = await consume({
        maxInFlight: 1,
        each: (delivery) => {
          delivery.ack()
          delivery.ack()
          delivery.nack(0)
        },
      })
      await member.count(2)
      await publish(series(topic, 'a', 1, 3))
      await member.count(3)
      assert.deepEqual(texts(member.deliveries), numbered('a', 3))
    }),
  ]
}
