import assert from 'node:assert/strict'
import {
  ackEach,
  brokerCases,
  DEADLINE,
  numbered,
  publishTo,
  series,
  texts,
  type BrokerConformanceOptions,
} from './broker-kit.ts'
import type { ConformanceCase } from './case.ts'
import { rejectsWith } from './driver-kit.ts'

/** Opening, closing, and what is allowed when. */
export function lifecycleCases(options: BrokerConformanceOptions): ConformanceCase[] {
  const it = brokerCases(options, 'life cycle')
  const { durable } = options.capabilities

  const cases = [
    it('may be opened twice', async ({ broker, topic, group, ensure, publish, consume }) => {
      await Promise.all([broker.open({ service: 'conformance' }), broker.open({ service: 'conformance' })])
      await ensure(group)
      await publish(series(topic, 'a', 1))
      const member = await consume({ each: ackEach })
      await member.count(1)
    }),

    it('ensures a topology again and again, from several handles, and loses nothing', async (bench) => {
      const { broker, topic, group, connect, ensure, publish, consume } = bench
      const topology = { topics: [topic], groups: [{ group, topics: [topic] }] }
      const others = await Promise.all([connect(), connect()])
      await Promise.all([broker, ...others].map((one) => one.ensure(topology)))
      await publish(series(topic, 'a', 2))
      await ensure(group)
      const member = await consume({ each: ackEach })
      await member.count(2)
      await Promise.all([broker, ...others].map((one) => one.ensure(topology)))
      await publish(series(topic, 'a', 1, 3))
      assert.deepEqual(texts(await member.count(3)), numbered('a', 3))
    }),

    it('is healthy while it is open', async ({ connect }) => {
      const broker = await connect()
      const open = await broker.health()
      assert.equal(open.ok, true, open.detail)
      await broker.close(DEADLINE)
      const closed = await broker.health()
      assert.equal(closed.ok, false)
      assert.ok(closed.detail !== '', 'and says why not')
    }),

    it('refuses to work after it is closed', async ({ connect, topic, group, ensure }) => {
      await ensure(group)
      const broker = await connect()
      await broker.close(DEADLINE)
      const subscription = { group, topics: [topic], maxInFlight: 1 }
      await rejectsWith(publishTo(broker, series(topic, 'a', 1)), 'LIFECYCLE')
      await rejectsWith(broker.consume(subscription, ackEach), 'LIFECYCLE')
      await rejectsWith(broker.ensure({ topics: [topic], groups: [] }), 'LIFECYCLE')
    }),

    it('closes in time while messages are out, and gives them back', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 3))
      const first = await consume()
      await first.count(3)
      const asked = performance.now()
      await Promise.all([first.broker.close(2000), first.broker.close(2000)])
      await first.broker.close(2000)
      const took = performance.now() - asked
      assert.ok(took < 4000, `close(2000) took ${Math.round(took)} ms`)
      const second = await consume({ each: ackEach })
      await second.count(3)
      assert.deepEqual(texts(second.deliveries), numbered('a', 3))
      assert.equal(first.deliveries.length, 3)
    }),

    it('ends one handle and no other', async ({ topic, group, connect, ensure, publish, consume }) => {
      await ensure(group)
      const member = await consume({ each: ackEach })
      const other = await connect()
      await other.close(DEADLINE)
      await publish(series(topic, 'a', 1))
      await member.count(1)
    }),

    it('begins and ends consumptions of one handle apart from each other', async (bench) => {
      const { topic, connect, name, ensure, publish, consume } = bench
      const [one, two] = [name('one'), name('two')]
      await ensure(one, two)
      const broker = await connect()
      const first = await consume({ broker, group: one, each: ackEach })
      const second = await consume({ broker, group: two, each: ackEach })
      await publish(series(topic, 'a', 1))
      await Promise.all([first.count(1), second.count(1)])
      await first.consumption.stop(DEADLINE)
      await publish(series(topic, 'a', 1, 2))
      await second.count(2)
      assert.equal(first.deliveries.length, 1)
    }),
  ]
  if (!durable) return cases
  return [
    ...cases,
    it('keeps messages and positions while no handle is open', async (bench) => {
      const { broker, topic, group, connect, ensure, publish, consume } = bench
      await ensure(group)
      await publish(series(topic, 'a', 2))
      const first = await consume({ maxInFlight: 1, each: ackEach })
      await first.count(2)
      await publish(series(topic, 'a', 2, 3))
      await first.count(4)
      await first.broker.close(DEADLINE)
      await publish(series(topic, 'a', 2, 5))
      await broker.close(DEADLINE)
      const later = await connect()
      const second = await consume({ broker: later, each: ackEach })
      await second.count(2)
      assert.deepEqual(texts(second.deliveries), numbered('a', 2, 5))
    }),
  ]
}
