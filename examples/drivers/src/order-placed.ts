// What all samples share: the order that is placed, and the message about it.
import { message } from 'tandem'

export interface Order {
  readonly id: number
  readonly sku: string
  readonly quantity: number
}

export const OrderPlaced = message<Order>('orders.placed', { key: (order) => order.sku })
