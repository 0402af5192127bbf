import { nodeSqlite } from 'tandem/drivers/node-sqlite'
import { toHeaders, uuidv7, type OutgoingMessage } from 'tandem/spi'
import { sqlite } from 'tandem/stores/sqlite'
import { join } from 'node:path'
import { OrderPlaced, orderOf } from './orders.ts'

const ROWS_PER_TRANSACTION = 20_000

/** Fills the outbox of a service with messages as `send` would write them, only faster. */
export async function seedOutbox(folder: string, service: string, messages: number): Promise<void> {
  const store = sqlite(nodeSqlite(join(folder, `${service}.db`)), { migrate: true })
  await store.open({ service })
  for (let first = 0; first < messages; first += ROWS_PER_TRANSACTION) {
    const count = Math.min(ROWS_PER_TRANSACTION, messages - first)
    const rows = Array.from({ length: count }, (_, i) => outgoing(service, first + i))
    await store.transaction((tx) => store.outbox.insert(tx, rows))
  }
  await store.close()
}

function outgoing(service: string, number: number): OutgoingMessage {
  const order = orderOf(number)
  const { type, topic, codec } = OrderPlaced
  const id = uuidv7()
  const headers = toHeaders({
    id,
    type,
    source: service,
    time: new Date(),
    key: order.orderId,
    contentType: codec.contentType,
    causationId: undefined,
    correlationId: id,
    sensitive: [],
    plainHeaders: {},
  })
  const body = codec.encode(order, 64)
  return { id, type, topic, key: order.orderId, headers, body, deliverAt: undefined, strictOrder: false }
}
