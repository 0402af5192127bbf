import { toHeaders, uuidv7, type InboxMessage, type OutgoingMessage, type Store } from 'tandem/spi'
import { OrderPlaced, orderOf, type OrderTransaction } from './orders.ts'

const ROWS_PER_TRANSACTION = 4000

/** The message of an order as `send` makes it. */
export function outgoing(number: number): OutgoingMessage {
  const order = orderOf(number)
  const { type, topic, codec } = OrderPlaced
  const id = uuidv7()
  const key = order.sku
  const headers = toHeaders({
    id,
    type,
    source: 'order',
    time: new Date(),
    key,
    contentType: codec.contentType,
    causationId: undefined,
    correlationId: id,
    sensitive: [],
    plainHeaders: {},
  })
  return { id, type, topic, key, headers, body: codec.encode(order, 64), deliverAt: undefined, strictOrder: false }
}

/** The same message as the inbox records it. */
export function incoming(message: OutgoingMessage): InboxMessage {
  return { ...message, source: 'order', sentAt: Date.now(), causationId: undefined, correlationId: message.id }
}

/** Fills the outbox with messages as `send` would write them, only faster. */
export async function seedOutbox(store: Store<OrderTransaction>, messages: number): Promise<void> {
  await byParts(messages, (numbers) => store.transaction((tx) => store.outbox.insert(tx, numbers.map(outgoing))))
}

/** Fills the inbox of a group with messages that were handled. */
export async function seedInbox(store: Store<OrderTransaction>, group: string, messages: number): Promise<void> {
  await byParts(messages, (numbers) => {
    const rows = numbers.map((number) => incoming(outgoing(number)))
    return store.transaction((tx) => store.inbox.begin(tx, group, rows, false))
  })
}

async function byParts(count: number, act: (numbers: readonly number[]) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < count; first += ROWS_PER_TRANSACTION) {
    await act(Array.from({ length: Math.min(ROWS_PER_TRANSACTION, count - first) }, (_, i) => first + i))
  }
}
