// The suite of brokers must notice what it is there for: each broker here breaks one rule, and the case about it fails.
import { expect, test } from 'vitest'
import { memory } from '../../src/brokers/memory/index.ts'
import { brokerConformance, type BrokerFixture } from '../../src/conformance/broker.ts'
import type { Broker, BrokerCapabilities, Consumption, Delivery } from '../../src/spi/broker.ts'

/** What is different in the broken broker. `sound` is the handle that it is made of. */
type Break = (sound: Broker) => Partial<Broker>

const CAPABILITIES: BrokerCapabilities = {
  durable: false,
  countsDeliveries: true,
  stopsKeyOnFailure: true,
  replaysToNewGroups: true,
  maxBodyBytes: 1000,
}

function broken(sound: Broker, breaks: Break): Broker {
  return {
    name: sound.name,
    capabilities: sound.capabilities,
    open: (context) => sound.open(context),
    ensure: (topology) => sound.ensure(topology),
    publish: (messages, options) => sound.publish(messages, options),
    consume: (subscription, deliver) => sound.consume(subscription, deliver),
    find: (id) => sound.find?.(id) ?? Promise.resolve(undefined),
    health: () => sound.health(),
    close: (deadline) => sound.close(deadline),
    ...breaks(sound),
  }
}

async function run(caseName: string, breaks: Break, says: Partial<BrokerCapabilities> = {}): Promise<void> {
  const capabilities = { ...CAPABILITIES, ...says }
  const make = (): Promise<BrokerFixture> => {
    const shared = memory({ maxBodyBytes: 1000 })
    return Promise.resolve({
      connect: () => broken(shared.connect(), (sound) => ({ capabilities, ...breaks(sound) })),
      kill: (broker) => broker.close(0),
      dispose: () => Promise.resolve(),
    })
  }
  const cases = brokerConformance({ name: 'broken', capabilities, kills: true, finds: true, timeout: 700, make })
  const found = cases.filter(({ name }) => name === caseName)
  expect(found.map(({ name }) => name)).toEqual([caseName])
  for (const one of found) await one.run()
}

const editDelivery =
  (edit: (delivery: Delivery) => Partial<Delivery>): Break =>
  (sound) => ({
    consume: (subscription, deliver) =>
      sound.consume(subscription, (delivery) => deliver({ ...delivery, ...edit(delivery) })),
  })

const editConsumption =
  (edit: (consumption: Consumption, out: Set<Delivery>) => Partial<Consumption>): Break =>
  (sound) => ({
    consume: async (subscription, deliver) => {
      const out = new Set<Delivery>()
      const consumption = await sound.consume(subscription, (delivery) => {
        out.add(delivery)
        deliver(delivery)
      })
      return { ...consumption, ...edit(consumption, out) }
    },
  })

let members = 0

const BREAKS: readonly (readonly [what: string, caught: string, breaks: Break])[] = [
  [
    'has no outcome for some messages',
    'has one outcome for each message, in the order of the messages',
    (sound) => ({ publish: async (...args) => (await sound.publish(...args)).slice(1) }),
  ],
  [
    'cuts headers off',
    'carries key, headers and body unchanged',
    editDelivery(({ message }) => ({ message: { ...message, headers: { 'ce-id': message.headers['ce-id'] ?? '' } } })),
  ],
  [
    'gives bodies as text',
    'carries key, headers and body unchanged',
    editDelivery(({ message }) => ({
      message: { ...message, body: Buffer.from(Buffer.from(message.body).toString()) },
    })),
  ],
  [
    'makes an empty key of none',
    'carries key, headers and body unchanged',
    editDelivery(({ message }) => ({ message: { ...message, key: message.key ?? '' } })),
  ],
  [
    'sends later what the sender has in its buffer then',
    'keeps what it was given, whatever the sender does with its bytes',
    (sound) => ({
      publish: (messages, options) => {
        setImmediate(() => void sound.publish(messages, options))
        return Promise.resolve(messages.map(() => ({ status: 'confirmed' })))
      },
    }),
  ],
  [
    'refuses a whole call for one message',
    'refuses for good what is too large, and takes the others',
    (sound) => ({
      publish: async (...args) => {
        const outcomes = await sound.publish(...args)
        const refused = outcomes.find(({ status }) => status === 'permanent')
        return refused === undefined ? outcomes : outcomes.map(() => refused)
      },
    }),
  ],
  [
    'turns the messages of a call round',
    'keeps the order of a key over calls and within them',
    (sound) => ({ publish: (messages, options) => sound.publish(messages.toReversed(), options) }),
  ],
  [
    'believes that every group is past every message',
    'finds a message by its id, and knows which groups are past it',
    (sound) => ({
      find: async (id) => {
        const trace = await sound.find?.(id)
        return trace && { ...trace, groups: trace.groups.map(({ group }) => ({ group, passed: true })) }
      },
    }),
  ],
  [
    'delivers twice',
    'delivers what was published before and after the member came, each once',
    (sound) => ({
      consume: (subscription, deliver) =>
        sound.consume(subscription, (delivery) => {
          deliver(delivery)
          deliver(delivery)
        }),
    }),
  ],
  ['loses acks', 'never delivers again what was acked before an orderly stop', editDelivery(() => ({ ack: () => {} }))],
  [
    'delivers again at once, whatever the delay',
    'delivers again what was nacked: after the delay, and before the later ones of its key',
    editDelivery((delivery) => ({ nack: () => delivery.nack(0) })),
  ],
  [
    'acks what was nacked',
    'delivers again what was nacked: after the delay, and before the later ones of its key',
    editDelivery((delivery) => ({ nack: () => delivery.ack() })),
  ],
  [
    'does not count',
    'delivers again what was nacked: after the delay, and before the later ones of its key',
    editDelivery(() => ({ attempt: 1 })),
  ],
  [
    'delivers nacked messages in the order in which they are due',
    'delivers a run of a key again in order when all of it is nacked',
    // Without keys there is no order to keep.
    (sound) => ({
      publish: (messages, options) =>
        sound.publish(
          messages.map((message) => ({ ...message, key: undefined, headers: { ...message.headers, 'ce-id': '' } })),
          options,
        ),
    }),
  ],
  ['lets everybody wait for what was nacked', 'goes on with other keys while one is nacked', editConsumptionOnNack()],
  [
    'has one more out than allowed',
    'has no more out than maxInFlight',
    (sound) => ({
      consume: (subscription, deliver) =>
        sound.consume({ ...subscription, maxInFlight: subscription.maxInFlight + 1 }, deliver),
    }),
  ],
  ['does not pause', 'delivers nothing between pause and resume', editConsumption(() => ({ pause: () => {} }))],
  ['does not resume', 'delivers nothing between pause and resume', editConsumption(() => ({ resume: () => {} }))],
  [
    'acks everything when it stops',
    'gives back what is out when it stops, and then takes no ack for it',
    editConsumption((consumption, out) => ({
      stop: (deadline) => {
        for (const delivery of out) delivery.ack()
        return consumption.stop(deadline)
      },
    })),
  ],
  [
    'keeps what is out when it stops',
    'gives back what is out when it stops, and then takes no ack for it',
    editConsumption(() => ({ stop: () => Promise.resolve() })),
  ],
  [
    'has one group for all',
    'delivers each message to each group once',
    (sound) => ({ consume: (subscription, deliver) => sound.consume({ ...subscription, group: 'one' }, deliver) }),
  ],
  [
    'has a group for each member',
    'shares the messages of a group among its members, each key with one at a time',
    (sound) => ({
      consume: (subscription, deliver) => sound.consume({ ...subscription, group: `group${members++}` }, deliver),
    }),
  ],
  [
    'forgets a group when its last member goes',
    'keeps messages for a group whose members are all away',
    (sound) => ({
      consume: async (subscription, deliver) => {
        const consumption = await sound.consume(subscription, deliver)
        const forget = (): Promise<Consumption> => sound.consume(subscription, (delivery) => delivery.ack())
        return { ...consumption, stop: async (deadline) => void (await consumption.stop(deadline).then(forget)) }
      },
    }),
  ],
  [
    'goes on after close',
    'refuses to work after it is closed',
    (sound) => ({ close: () => sound.close(0).then(() => sound.open({ service: 'again' })) }),
  ],
  [
    'is always healthy',
    'is healthy while it is open',
    () => ({ health: () => Promise.resolve({ ok: true, detail: 'fine' }) }),
  ],
  [
    'says other things of itself than it should',
    'has one outcome for each message, in the order of the messages',
    (sound) => ({ capabilities: { ...sound.capabilities, durable: true } }),
  ],
]

/** Pauses the consumption for as long as anything is nacked. */
function editConsumptionOnNack(): Break {
  return (sound) => ({
    consume: async (subscription, deliver) => {
      const consumption = await sound.consume(subscription, (delivery) =>
        deliver({
          ...delivery,
          nack: (delay) => {
            consumption.pause()
            delivery.nack(delay)
          },
        }),
      )
      return consumption
    },
  })
}

test.each(BREAKS)('a broker that %s fails: %s', async (_what, caught, breaks) => {
  await run(caught, () => ({}))
  await expect(run(caught, breaks)).rejects.toThrow()
})

test.each([
  ['replaysToNewGroups', 'delivers to a new group only what is published after it came'],
  ['stopsKeyOnFailure', 'takes the later messages of a key whose message failed'],
  ['countsDeliveries', 'delivers again what was nacked: after the delay, and before the later ones of its key'],
  ['countsDeliveries', 'gives back what is out when it stops, and then takes no ack for it'],
  ['countsDeliveries', 'delivers again, in order, what a dead member had out'],
] as const)('a broker that denies %s although it has it fails: %s', async (capability, caught) => {
  await expect(run(caught, () => ({}), { [capability]: false })).rejects.toThrow()
})
