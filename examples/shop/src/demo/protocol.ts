/** What the demo and the three processes say to each other. Customers and people would use HTTP for this. */
import type { Order } from '../messages.ts'

/** All of these may be asked again, since the process may die before it answers. */
export type Command =
  | { readonly do: 'place'; readonly order: Order }
  | { readonly do: 'place-with-half-message'; readonly order: Order }
  /** As above, but it never comes to the commit: it is done when the local transaction is. */
  | { readonly do: 'place-with-half-message-and-wait'; readonly order: Order }
  | { readonly do: 'cancel'; readonly orderId: string }
  | { readonly do: 'add-article'; readonly sku: string; readonly quantity: number }
  | { readonly do: 'open-account'; readonly account: string; readonly balance: number }
  | { readonly do: 'ping' }
  | { readonly do: 'stop' }

export interface Request {
  readonly id: number
  readonly command: Command
}

export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'refused'; readonly id: number; readonly error: string }
  | { readonly kind: 'happened'; readonly event: Happening }

/** A copy was dropped; an attempt to handle a message failed. */
export type Happening = 'duplicate' | 'failed'
