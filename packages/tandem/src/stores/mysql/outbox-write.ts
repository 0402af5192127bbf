import { TandemError } from '../../core/errors.ts'
import { shardOf } from '../../core/shards.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { OutgoingMessage } from '../../spi/store.ts'
import { integer } from '../shared/rows.ts'
import { parts, textsByCount } from '../shared/statements.ts'
import { clean, cleanOrNull, INSTANT, instantParam, ms, rowsOf, type MysqlContext } from './context.ts'
import { createLockKeys } from './turns.ts'

/** Shards of the outbox. Fixed: the rows that are there carry their number. */
export const SHARDS = 16

/** 4,000 rows of 7 or 8 values stay below the 65,535 that a prepared statement may have. */
const ROWS_PER_STATEMENT = 4000

/** What a row costs in a statement besides its contents. */
const ROW_BYTES = 200

/**
 * Writes messages into the outbox of an open transaction: one statement, for any number of messages that the server takes at once. What is
 * to be delivered later asks for the database's time first, and strict order for the locks of the keys.
 */
export function createOutboxInsert<Tx>(
  context: MysqlContext<Tx>,
): (tx: Tx, messages: readonly OutgoingMessage[]) => Promise<void> {
  const { tables, now, run, server } = context
  const lockKeys = createLockKeys(context)
  const columns = 'shard, id, topic, `key`, type, headers, body'
  const sql = {
    now: `SELECT ${ms(now)} AS now`,
    // A fixed number of rows with all their values: InnoDB gives the places away at once, and locks no table for it.
    outbox: textsByCount(
      (count) => `INSERT INTO ${tables.outbox} (${columns}, written_at)
        VALUES ${rowsOf(`(?, ?, ?, ?, ?, ?, ?, ${now})`, count)}`,
    ),
    delayed: textsByCount(
      (count) => `INSERT INTO ${tables.outbox_held} (${columns}, due_at, state, written_at)
        VALUES ${rowsOf(`(?, ?, ?, ?, ?, ?, ?, ${INSTANT}, 'delayed', ${now})`, count)}`,
    ),
  }

  return async (tx, messages) => {
    const strict = messages.filter(({ strictOrder }) => strictOrder)
    // Before any place is given.
    if (strict.length > 0) await lockKeys(tx, strict)
    let direct = messages
    const most = server().largestPacket
    if (messages.some(({ deliverAt }) => deliverAt !== undefined)) {
      const at = integer((await run(tx, sql.now, [])).rows[0] ?? {}, 'now')
      const isLater = ({ deliverAt }: OutgoingMessage): boolean => deliverAt !== undefined && deliverAt.getTime() > at
      direct = messages.filter((message) => !isLater(message))
      for (const part of partsBySize(messages.filter(isLater), most)) {
        const values = part.flatMap((one) => [...valuesOf(one), instantParam(one.deliverAt?.getTime() ?? at)])
        await run(tx, sql.delayed(part.length), values)
      }
    }
    for (const part of partsBySize(direct, most)) await run(tx, sql.outbox(part.length), part.flatMap(valuesOf))
  }
}

function valuesOf({ id, topic, key, type, headers, body }: OutgoingMessage): SqlValue[] {
  return [
    shardOf(topic, key, id, SHARDS),
    clean(id),
    clean(topic),
    cleanOrNull(key),
    clean(type),
    JSON.stringify(headers),
    body,
  ]
}

/** Bytes that a message may take in a statement: a library may write a byte of the body as two digits, and escape what is in texts. */
function sizeOf({ headers, body }: OutgoingMessage): number {
  let size = ROW_BYTES + 2 * body.byteLength
  for (const [name, value] of Object.entries(headers)) size += 2 * (name.length + 3 * value.length)
  return size
}

/**
 * Cuts messages into parts that fit into one statement each.
 *
 * @throws TandemError `MESSAGE_TOO_LARGE` when one alone does not
 */
function* partsBySize(messages: readonly OutgoingMessage[], most: number): Generator<readonly OutgoingMessage[]> {
  for (const part of parts(messages, ROWS_PER_STATEMENT)) {
    let start = 0
    let size = 0
    for (const [i, message] of part.entries()) {
      const own = sizeOf(message)
      if (own + ROW_BYTES > most) {
        throw new TandemError(
          'MESSAGE_TOO_LARGE',
          `a ${message.type} message of ${message.body.byteLength} bytes may not fit into a statement: the server takes ` +
            `${most} bytes at most. Raise its max_allowed_packet, or send less`,
        )
      }
      if (size + own + ROW_BYTES > most) {
        yield part.slice(start, i)
        start = i
        size = 0
      }
      size += own
    }
    if (start < part.length) yield part.slice(start)
  }
}
