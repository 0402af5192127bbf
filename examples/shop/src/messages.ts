/**
 * What the services say to each other. All messages of an order have its id as their key.
 *
 *     order ── orders.placed ──► stock ── stock.reserved ──► payment ── payments.charged ──► order: completed
 *                                  └───── stock.rejected ──────┐ └───── payments.declined ──► order: cancelled
 *                                                              └──────────────────────────► order: cancelled
 *     order ── orders.cancelled ──► stock (gives back what it reserved), payment (gives back what it charged)
 *
 * No consumer asks for `ordered: true`: each message of an order is caused by the one before, so two of one order are never on
 * their way to the same service at the same time.
 */
import { message, type PayloadOf } from 'tandem'
import { z } from 'zod'

const orderId = z.string().min(1)
const account = z.string().min(1)
/** Money is counted in cents: whole numbers add up. */
const amount = z.number().int().nonnegative()
const key = (payload: { readonly orderId: string }): string => payload.orderId

export const OrderPlaced = message('orders.placed', {
  schema: z.object({ orderId, sku: z.string().min(1), quantity: z.number().int().positive(), amount, account }),
  key,
})
export const OrderCancelled = message('orders.cancelled', { schema: z.object({ orderId, reason: z.string() }), key })

export const StockReserved = message('stock.reserved', { schema: z.object({ orderId, amount, account }), key })
export const StockRejected = message('stock.rejected', { schema: z.object({ orderId, reason: z.string() }), key })

export const PaymentCharged = message('payments.charged', { schema: z.object({ orderId }), key })
export const PaymentDeclined = message('payments.declined', { schema: z.object({ orderId, reason: z.string() }), key })

export type Order = PayloadOf<typeof OrderPlaced>
