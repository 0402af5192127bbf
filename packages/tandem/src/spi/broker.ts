import type { WireMessage } from '../core/wire.ts'
import type { OpenContext } from './driver.ts'

/**
 * The seam to a message queue. An adapter moves bytes and tells the truth about them; identity, attempts, backoff, dead letters,
 * dedupe and order are the engine's, so that every broker behaves the same.
 */
export interface Broker {
  /** For messages to people, for example `rabbitmq`. */
  readonly name: string
  readonly capabilities: BrokerCapabilities

  /** Connects. Idempotent. */
  open(context: OpenContext): Promise<void>
  /** Makes the topics and groups that are missing. Idempotent, never destructive. */
  ensure(topology: Topology): Promise<void>

  /**
   * Publishes messages in array order and resolves when the broker has answered for each: one outcome per message, same order.
   *
   * A rejection means that the broker as a whole could not be reached and that nothing is known about any of the messages. The relay
   * never passes two messages of one topic and key in one call unless `capabilities.stopsKeyOnFailure`.
   */
  publish(
    messages: readonly WireMessage[],
    options: { readonly signal: AbortSignal },
  ): Promise<readonly PublishOutcome[]>

  /**
   * Delivers messages of the topics to the group until the consumption is stopped. Each message goes to one member of the group at a
   * time, and again (to any member) until it is acked. Messages of one topic and key go to one member at a time, in order.
   */
  consume(subscription: Subscription, deliver: (delivery: Delivery) => void): Promise<Consumption>

  /** Where a message is, if the broker can look into its topics. */
  find?(id: string): Promise<BrokerTrace | undefined>

  health(): Promise<{ readonly ok: boolean; readonly detail: string }>
  /** Ends everything within `deadline` milliseconds. Idempotent. */
  close(deadline: number): Promise<void>
}

export interface BrokerCapabilities {
  /** Whether messages outlive the process. */
  readonly durable: boolean
  /** Whether `delivery.attempt` counts deliveries that ended without an ack. */
  readonly countsDeliveries: boolean
  /** Whether a failed publication keeps back the later messages of its topic and key in the same call (outcome `retryable`). */
  readonly stopsKeyOnFailure: boolean
  /** Whether a group that is new to a topic gets the messages published before it came. */
  readonly replaysToNewGroups: boolean
  /** Largest body in bytes. */
  readonly maxBodyBytes: number
}

export interface Topology {
  readonly topics: readonly string[]
  readonly groups: readonly { readonly group: string; readonly topics: readonly string[] }[]
}

export type PublishOutcome =
  /** The broker holds the message durably and can route it. */
  | { readonly status: 'confirmed' }
  /** Refused for now (unroutable yet, throttled); publishing it again may succeed. */
  | { readonly status: 'retryable'; readonly error: Error }
  /** Refused for good (too large, forbidden). */
  | { readonly status: 'permanent'; readonly error: Error }
  /** Sent, and no answer came: it may or may not be there. */
  | { readonly status: 'unknown'; readonly error: Error }

export interface Subscription {
  readonly group: string
  readonly topics: readonly string[]
  /** Deliveries without ack or nack that this member can take at one time. */
  readonly maxInFlight: number
}

export interface Delivery {
  readonly message: WireMessage
  /** 1 for a first delivery. Higher if earlier ones ended without an ack, where `capabilities.countsDeliveries`. */
  readonly attempt: number
  /** The broker may forget the message for this group. Does not wait for the broker; a lost ack leads to a redelivery. */
  ack(): void
  /** Gives the message back: it is delivered again after `delay` milliseconds, in the order of its key. */
  nack(delay: number): void
}

export interface Consumption {
  /** No new deliveries until `resume`. */
  pause(): void
  resume(): void
  /** Stops delivering, sends the acks that are outstanding, gives back what is neither acked nor nacked. Idempotent. */
  stop(deadline: number): Promise<void>
}

export interface BrokerTrace {
  readonly message: WireMessage
  readonly publishedAt: number
  /** The groups that know the topic, and whether each is past this message. */
  readonly groups: readonly { readonly group: string; readonly passed: boolean }[]
}
