import { TandemError } from '../../../src/core/errors.ts'
import type { Broker, BrokerCapabilities, PublishOutcome, WireMessage } from '../../../src/spi/index.ts'
import type { Order } from './messages.ts'

/** A broker that refuses messages whose payload says so, as an exchange without a queue or a topic without permission does. */
export class RefusingBroker implements Broker {
  readonly name = 'refusing'
  readonly capabilities: BrokerCapabilities
  readonly #broker: Broker
  #verdict: 'retryable' | 'permanent' | undefined

  constructor(broker: Broker, verdict: 'retryable' | 'permanent' | undefined) {
    this.#broker = broker
    this.#verdict = verdict
    this.capabilities = { ...broker.capabilities, stopsKeyOnFailure: false }
  }

  /** From here on nothing is refused. */
  accept(): void {
    this.#verdict = undefined
  }

  async publish(
    messages: readonly WireMessage[],
    options: { readonly signal: AbortSignal },
  ): Promise<readonly PublishOutcome[]> {
    const status = this.#verdict
    if (status === undefined) return this.#broker.publish(messages, options)
    const accepted = messages.filter((message) => !isRefused(message))
    const outcomes = accepted.length === 0 ? [] : await this.#broker.publish(accepted, options)
    return messages.map((message): PublishOutcome => {
      const outcome = outcomes[accepted.indexOf(message)]
      return outcome ?? { status, error: new TandemError('BROKER_UNROUTABLE', 'nobody has declared a queue for it') }
    })
  }

  open(context: { readonly service: string }): Promise<void> {
    return this.#broker.open(context)
  }

  ensure(...args: Parameters<Broker['ensure']>): Promise<void> {
    return this.#broker.ensure(...args)
  }

  consume(...args: Parameters<Broker['consume']>): ReturnType<Broker['consume']> {
    return this.#broker.consume(...args)
  }

  health(): ReturnType<Broker['health']> {
    return this.#broker.health()
  }

  close(deadline: number): Promise<void> {
    return this.#broker.close(deadline)
  }
}

function isRefused({ body }: WireMessage): boolean {
  return (JSON.parse(new TextDecoder().decode(body)) as Partial<Order>).refuse === true
}
