import { message } from '../../../src/index.ts'

/** What a handler does with an order, beside writing its effect. */
export type Behaviour =
  /** Throws in this many attempts, then succeeds. */
  | `fail-${number}`
  | 'fail-always'
  /** Takes the process down. */
  | 'kill'
  | 'exit'
  /** Waits for the command `release`, or for its signal. */
  | 'hold'
  /** Changes the first counter, holds, and changes the second. */
  | 'cross'
  /** Never ends and never listens to its signal. */
  | 'ignore-signal'
  /** Fails, and then the retry does that. */
  | 'fail-and-ignore-signal'

/** What a check answers about an order. `books`: what the orders table says, `unknown` where it is not in it. */
type Answer = 'books' | 'commit' | 'unknown' | 'throw' | 'true' | 'COMMIT' | 'nothing' | 'object'

export interface Order {
  readonly order: string
  readonly key: string
  readonly does?: Behaviour
  readonly answer?: Answer
  /** The broker of a process that was told to refuse, refuses it. */
  readonly refuse?: boolean
  /** Makes the message as large as that, and what its handler writes as well. */
  readonly pad?: string
}

export const OrderPlaced = message<Order>('orders.placed', { key: ({ key }) => key })
/** As `OrderPlaced`, with a life of its own in the checks. */
export const OrderNoted = message<Order>('orders.noted', { key: ({ key }) => key })
export const StockReserved = message<{ readonly order: string; readonly key: string }>('stock.reserved', {
  key: ({ key }) => key,
})
