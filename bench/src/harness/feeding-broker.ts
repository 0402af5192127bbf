import type { Broker, Delivery, WireMessage } from 'tandem/spi'
import { freeBroker } from './stopwatch-broker.ts'

export interface Feed {
  readonly broker: Broker
  /** Delivers the messages as fast as they are acked; resolves to the seconds from the first delivery to the last ack. */
  feed(messages: readonly WireMessage[]): Promise<number>
}

/** A broker that costs nothing, with one consumer: what is left is what handling costs. */
export function feedingBroker(): Feed {
  let deliver: ((delivery: Delivery) => void) | undefined
  let maxInFlight = 0
  const consume: Broker['consume'] = (subscription, to) => {
    deliver = to
    maxInFlight = subscription.maxInFlight
    const nothing = (): void => undefined
    return Promise.resolve({ pause: nothing, resume: nothing, stop: () => Promise.resolve() })
  }
  return {
    broker: { ...freeBroker(), consume },
    feed: (messages) =>
      new Promise((resolve, reject) => {
        const from = performance.now()
        let next = 0
        let acked = 0
        const more = (): void => {
          const message = messages[next]
          if (message === undefined) return
          next += 1
          deliver?.({ message, attempt: 1, ack, nack: () => reject(new Error('a message was given back')) })
        }
        const ack = (): void => {
          acked += 1
          if (acked === messages.length) resolve((performance.now() - from) / 1000)
          else more()
        }
        for (let i = 0; i < Math.min(maxInFlight, messages.length); i++) more()
      }),
  }
}
