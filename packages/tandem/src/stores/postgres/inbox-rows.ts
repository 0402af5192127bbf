import { createHash } from 'node:crypto'
import type { InboxState } from '../../core/inbox-state.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { InboxMessage } from '../../spi/store.ts'
import { integer, text } from '../shared/rows.ts'
import { clean, cleanOrNull, instantOf, instantParam, type PostgresContext } from './context.ts'

/** The statements that several areas of the inbox share. All run in the caller's transaction. */
export interface InboxRows<Tx> {
  setState(tx: Tx, group: string, id: string, state: InboxState): Promise<void>
  /**
   * Locks the first message that keeps back its key, and marks it as touched: whoever is about to settle it waits, and looks anew at what
   * stands behind it. A transaction whose snapshot is older cannot, and fails with a conflict.
   *
   * @returns false if nothing keeps the key back
   */
  touchFirst(tx: Tx, group: string, topic: string, key: string): Promise<boolean>
  /**
   * Makes the first message of the key that still keeps others back due now, if it has not been tried since it was blocked. Of two who
   * settle messages of one key at the same moment, whoever settles the later one waits here for the other, and looks again.
   *
   * @param settled `seq` of the message that has just been settled
   */
  releaseNext(tx: Tx, group: string, topic: string, key: string, settled: number): Promise<void>
}

export function createInboxRows<Tx>({ tables, now, run }: PostgresContext<Tx>): InboxRows<Tx> {
  const { inbox, inbox_failure: failure } = tables
  const first = `SELECT seq, state FROM ${failure}
    WHERE blocks AND group_name = $1::text AND topic = $2::text AND ${keyIs('', '$3::text')} ORDER BY seq LIMIT 1`
  const sql = {
    state: `UPDATE ${inbox} SET state = $3::text, at = ${now} WHERE group_name = $1::text AND message_id = $2::text`,
    touch: `WITH first AS (${first} FOR UPDATE)
      UPDATE ${failure} f SET touched = touched + 1 FROM first WHERE f.seq = first.seq`,
    first: `SELECT seq::int8 AS seq, state FROM (${first}) first`,
    touchOne: `UPDATE ${failure} SET touched = touched + 1 WHERE seq = $1::float8::bigint AND blocks`,
    release: `WITH freed AS (
        UPDATE ${failure} SET state = 'retrying', due_at = ${now}, version = version + 1
        WHERE seq = $1::float8::bigint AND state = 'blocked' RETURNING group_name, message_id)
      UPDATE ${inbox} i SET state = 'retrying', at = ${now} FROM freed
      WHERE i.group_name = freed.group_name AND i.message_id = freed.message_id`,
  }
  return {
    async setState(tx, group, id, state) {
      await run(tx, sql.state, [group, idParam(id), state])
    },
    async touchFirst(tx, group, topic, key) {
      return (await run(tx, sql.touch, [group, clean(topic), clean(key)])).changed > 0
    },
    async releaseNext(tx, group, topic, key, settled) {
      for (;;) {
        const [next] = (await run(tx, sql.first, [group, clean(topic), clean(key)])).rows
        if (next === undefined) return
        const seq = integer(next, 'seq')
        const isBlocked = text(next, 'state') === 'blocked'
        // Whoever settles that one at this moment still sees the one that was just settled, and will wait for this transaction.
        if (!isBlocked && seq > settled) return
        if ((await run(tx, isBlocked ? sql.release : sql.touchOne, [seq])).changed > 0) return
        // Somebody else was faster: what is the first now?
      }
    },
  }
}

/** The columns that `inbox` and `inbox_failure` share, in the order of `messageValues`. */
export const MESSAGE_COLUMNS = 'group_name, message_id, type, topic, key, source, sent_at, causation_id, correlation_id'

/** The values of the columns, from parameters that begin at `$1`. */
export const MESSAGE_PARAMETERS: string = `$1::text, $2::text, $3::text, $4::text, $5::text, $6::text, ${instantOf('$7')}, $8::text, $9::text`

export function messageValues(group: string, message: InboxMessage): readonly SqlValue[] {
  const { id, type, topic, key, source, sentAt, causationId, correlationId } = message
  return [
    group,
    idParam(id),
    clean(type),
    clean(topic),
    cleanOrNull(key),
    clean(source),
    instantParam(sentAt),
    cleanOrNull(causationId),
    clean(correlationId),
  ]
}

/** Characters of an id that an index can hold. Ours are UUIDs; other senders may have other ideas. */
const LONGEST_ID = 500

/** The id of a message as the inbox knows it: a very long one is known by its hash. */
export function idParam(id: string): string {
  const plain = clean(id)
  return plain.length <= LONGEST_ID ? plain : `sha256:${createHash('sha256').update(plain).digest('hex')}`
}

/**
 * The condition that a row of `inbox_failure` is of a key, in the words of the index, which holds only the beginning of very long keys.
 *
 * @param row an alias with its point, or nothing
 */
export function keyIs(row: string, value: string): string {
  return `left(${row}key, 200) = left(${value}, 200) AND ${row}key = ${value}`
}
