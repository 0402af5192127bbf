import type { Broker } from 'tandem/spi'

export interface Stopwatch {
  readonly broker: Broker
  /** Seconds from the first publication until so many messages are confirmed. */
  readonly seconds: Promise<number>
}

/**
 * The broker, with a watch on how long it takes until `messages` are published through it. After that it does not answer any more, so
 * that what is left in the outbox stays there.
 */
export function stopwatch(broker: Broker, messages: number): Stopwatch {
  let startedAt: number | undefined
  let confirmed = 0
  let finish: (seconds: number) => void
  const seconds = new Promise<number>((resolve) => {
    finish = resolve
  })
  const publish: Broker['publish'] = async (batch, options) => {
    if (confirmed >= messages) throw new Error('the stopwatch has stopped')
    startedAt ??= performance.now()
    const outcomes = await broker.publish(batch, options)
    confirmed += outcomes.filter(({ status }) => status === 'confirmed').length
    if (confirmed >= messages) finish((performance.now() - startedAt) / 1000)
    return outcomes
  }
  return { seconds, broker: withPublish(broker, publish) }
}

/** A broker that takes everything at once and keeps nothing: what is left is what the library costs. */
export function freeBroker(): Broker {
  const nothing = (): Promise<void> => Promise.resolve()
  return {
    name: 'free',
    capabilities: {
      durable: false,
      countsDeliveries: false,
      stopsKeyOnFailure: true,
      replaysToNewGroups: false,
      maxBodyBytes: Number.MAX_SAFE_INTEGER,
    },
    open: nothing,
    ensure: nothing,
    publish: (messages) => Promise.resolve(messages.map(() => ({ status: 'confirmed' }))),
    consume: () => Promise.resolve({ pause: () => undefined, resume: () => undefined, stop: nothing }),
    health: () => Promise.resolve({ ok: true, detail: 'always' }),
    close: nothing,
  }
}

function withPublish(broker: Broker, publish: Broker['publish']): Broker {
  return {
    name: broker.name,
    capabilities: broker.capabilities,
    open: (context) => broker.open(context),
    ensure: (topology) => broker.ensure(topology),
    publish,
    consume: (subscription, deliver) => broker.consume(subscription, deliver),
    health: () => broker.health(),
    close: (deadline) => broker.close(deadline),
  }
}
