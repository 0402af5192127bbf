import assert from 'node:assert/strict'
import type { Delivery } from '../spi/broker.ts'
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

/** Several groups, and several members of one. */
export function groupCases(options: BrokerConformanceOptions): ConformanceCase[] {
  const it = brokerCases(options, 'groups')
  const { replaysToNewGroups, countsDeliveries } = options.capabilities

  const cases = [
    it('delivers each message to each group once', async ({ topic, name, ensure, publish, consume }) => {
      const groups = [name('one'), name('two')]
      await ensure(...groups)
      const members = await Promise.all(groups.map((group) => consume({ group, each: ackEach })))
      await publish(['a', 'b'].flatMap((key) => series(topic, key, 20)))
      for (const member of members) {
        await member.count(40)
        for (const key of ['a', 'b']) assert.deepEqual(texts(member.deliveries, key), numbered(key, 20))
      }
    }),

    it('keeps messages for a group whose members are all away', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      const first = await consume({ each: ackEach })
      await publish(series(topic, 'a', 1))
      await first.count(1)
      await first.consumption.stop(DEADLINE)
      await publish(series(topic, 'a', 3, 2))
      const second = await consume({ each: ackEach })
      assert.deepEqual(texts(await second.count(3)), numbered('a', 3, 2))
    }),

    it(
      replaysToNewGroups
        ? 'delivers to a new group what was published before it came'
        : 'delivers to a new group only what is published after it came',
      async ({ topic, group, name, ensure, publish, consume }) => {
        await ensure(group)
        await publish(series(topic, 'a', 5))
        const first = await consume({ each: ackEach })
        await first.count(5)
        const late = name('late-group')
        await ensure(late)
        await publish(series(topic, 'a', 1, 6))
        const member = await consume({ group: late, each: ackEach })
        await member.find(({ message }) => textOf(message) === 'a-6')
        assert.deepEqual(texts(member.deliveries), replaysToNewGroups ? numbered('a', 6) : ['a-6'])
      },
    ),

    it('shares the messages of a group among its members, each key with one at a time', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      const ledger = new Ledger()
      const first = await consume({ each: ledger.member('first') })
      const second = await consume({ each: ledger.member('second') })
      const keys = Array.from({ length: 50 }, (_, index) => `key${index}`)
      let rounds = 0
      while (rounds < 200 && (rounds < 5 || first.deliveries.length === 0 || second.deliveries.length === 0)) {
        rounds += 1
        await publish(keys.map((key) => textMessage(topic, key, `${key}-${rounds}`)))
        await ledger.settled(keys.length * rounds)
      }
      assert.ok(first.deliveries.length > 0 && second.deliveries.length > 0, `both have a share after ${rounds} rounds`)
      for (const key of keys) assert.deepEqual(ledger.ofKey(key), numbered(key, rounds))
    }),

    it('never gives a key to a new member while the old one has a message of it out', async (bench) => {
      const { topic, group, ensure, publish, consume } = bench
      await ensure(group)
      const held = ['held1', 'held2', 'held3']
      const ledger = new Ledger({ holds: held })
      const first = await consume({ each: ledger.member('first') })
      await publish(held.flatMap((key) => series(topic, key, 1)))
      await first.count(held.length)
      const second = await consume({ each: ledger.member('second') })
      await publish(held.flatMap((key) => series(topic, key, 1, 2)))
      // Other keys go on, for long enough that the second member gets its share.
      const keys = Array.from({ length: 24 }, (_, index) => `key${index}`)
      let rounds = 0
      while (rounds < 200 && (rounds < 5 || second.deliveries.length < keys.length)) {
        rounds += 1
        await publish(keys.map((key) => textMessage(topic, key, `${key}-${rounds}`)))
        await someTurns()
      }
      ledger.release()
      await ledger.until(() =>
        [...held, ...keys].every((key) => ledger.ofKey(key).length >= (held.includes(key) ? 2 : rounds)),
      )
      for (const key of keys) assert.deepEqual(ledger.ofKey(key), numbered(key, rounds))
      for (const key of held) assert.deepEqual(ledger.ofKey(key), numbered(key, 2))
    }),

    it('hands over when a member stops', async ({ topic, group, ensure, publish, consume }) => {
      await ensure(group)
      const ledger = new Ledger()
      const keys = Array.from({ length: 24 }, (_, index) => `key${index}`)
      const members = [await consume({ each: ledger.member('0') }), await consume({ each: ledger.member('1') })]
      await publish(keys.flatMap((key) => series(topic, key, 5)))
      await ledger.settled(keys.length * 5)
      await members[0]?.consumption.stop(DEADLINE)
      const before = members[1]?.deliveries.length ?? 0
      await publish(keys.flatMap((key) => series(topic, key, 5, 6)))
      await members[1]?.count(before + keys.length * 5)
      for (const key of keys) assert.deepEqual(ledger.ofKey(key), numbered(key, 10))
    }),

    it('lets members of one group take different topics', async (bench) => {
      const { broker, topic, group, name, publish, consume } = bench
      const second = name('second-topic')
      await broker.ensure({ topics: [topic, second], groups: [{ group, topics: [topic, second] }] })
      const one = await consume({ topics: [topic], each: ackEach })
      const two = await consume({ topics: [second], each: ackEach })
      const keys = Array.from({ length: 24 }, (_, index) => `key${index}`)
      await publish(keys.flatMap((key) => [textMessage(topic, key, 'one'), textMessage(second, key, 'two')]))
      assert.deepEqual(new Set(texts(await one.count(24))), new Set(['one']))
      assert.deepEqual(new Set(texts(await two.count(24))), new Set(['two']))
    }),
  ]
  if (!options.kills) return cases
  return [
    ...cases,
    it('delivers again, in order, what a dead member had out', async (bench) => {
      const { topic, group, ensure, publish, consume, kill } = bench
      await ensure(group)
      const keys = Array.from({ length: 16 }, (_, index) => `key${index}`)
      await publish(keys.flatMap((key) => series(topic, key, 3)))
      const dead = await consume()
      await dead.count(keys.length * 3)
      await kill(dead.broker)
      // Too late: it is dead.
      for (const delivery of dead.deliveries) delivery.ack()
      const heir = await consume({ each: ackEach })
      await heir.count(keys.length * 3)
      for (const key of keys) assert.deepEqual(texts(heir.deliveries, key), numbered(key, 3))
      const first = heir.deliveries.find(({ message }) => textOf(message) === 'key0-1')
      if (countsDeliveries) assert.ok((first?.attempt ?? 0) > 1, 'an attempt above 1 after a delivery without an ack')
      else assert.ok(heir.deliveries.every(({ attempt }) => attempt === 1))
    }),

    it('goes on with the live members when one dies', async (bench) => {
      const { topic, group, ensure, publish, consume, kill } = bench
      await ensure(group)
      const alive = await consume({ each: ackEach })
      const dead = await consume()
      const keys = Array.from({ length: 24 }, (_, index) => `key${index}`)
      let round = 0
      while (dead.deliveries.length === 0 && round < 500) {
        round += 1
        await publish(keys.map((key) => textMessage(topic, key, `${key}-${round}`)))
        await new Promise((resolve) => setImmediate(resolve))
      }
      assert.ok(dead.deliveries.length > 0, 'the second member has got something')
      await kill(dead.broker)
      await alive.until(() => new Set(texts(alive.deliveries)).size === keys.length * round)
      for (const key of keys) assert.deepEqual([...new Set(texts(alive.deliveries, key))], numbered(key, round))
    }),
  ]
}

/** What a group was delivered, whichever member got it; refuses a key that two members have at one time. */
class Ledger {
  readonly #log: Delivery[] = []
  readonly #holds: readonly string[]
  #held: { readonly member: string; readonly delivery: Delivery }[] = []
  #released = false
  #wake: (() => void) | undefined
  #broken: Error | undefined

  /** @param options.holds keys whose messages are acked at the end only; all others at once */
  constructor(options: { readonly holds: readonly string[] } = { holds: [] }) {
    this.#holds = options.holds
  }

  member(member: string): (delivery: Delivery) => void {
    return (delivery) => {
      const { key = '' } = delivery.message
      const other = this.#held.find((one) => one.member !== member && one.delivery.message.key === key)
      if (other !== undefined) this.#broken = new Error(`key ${key} is with ${member} and ${other.member} at one time`)
      this.#log.push(delivery)
      if (this.#released || !this.#holds.includes(key)) delivery.ack()
      else this.#held.push({ member, delivery })
      this.#wake?.()
    }
  }

  ofKey(key: string): string[] {
    return texts(this.#log, key)
  }

  /** Resolves when this many messages have been delivered. */
  settled(count: number): Promise<void> {
    return this.until(() => this.#log.length >= count)
  }

  async until(condition: () => boolean): Promise<void> {
    while (this.#broken === undefined && !condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#broken !== undefined) throw this.#broken
  }

  /** Acks what is held, and everything from now on. */
  release(): void {
    this.#released = true
    const held = this.#held
    this.#held = []
    for (const { delivery } of held) delivery.ack()
  }
}
