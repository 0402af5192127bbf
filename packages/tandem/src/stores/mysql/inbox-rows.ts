import type { InboxState } from '../../core/inbox-state.ts'
import type { Row, SqlValue } from '../../spi/driver.ts'
import type { FailedAttempt, InboxMessage } from '../../spi/store.ts'
import { text } from '../shared/rows.ts'
import { clean, cleanOrNull, idParam, INSTANT, instantParam, KEY_HASH, type MysqlContext } from './context.ts'

/** The statements that several areas of the inbox share. All run in the caller's transaction. */
export interface InboxRows<Tx> {
  setState(tx: Tx, group: string, id: string, state: InboxState): Promise<void>
  /** Writes the failed attempt of this number, in place of what was there. */
  setAttempt(tx: Tx, group: string, id: string, attempt: number, failed: FailedAttempt): Promise<void>
  /**
   * Locks the first message that keeps back its key. Whoever settles messages of the key, or sets one aside behind them, begins with this
   * one: so they take turns, and each sees what the one before has done.
   *
   * @returns false if nothing keeps the key back
   */
  lockFirst(tx: Tx, group: string, topic: string, key: string): Promise<boolean>
  /** Makes the first message of the key that still keeps others back due now, if it has not been tried since it was blocked. */
  releaseNext(tx: Tx, group: string, topic: string, key: string): Promise<void>
}

export function createInboxRows<Tx>({ tables, now, run }: MysqlContext<Tx>): InboxRows<Tx> {
  const { inbox, inbox_failure: failure, inbox_attempt: attempts } = tables
  const sql = {
    state: `UPDATE ${inbox} FORCE INDEX (PRIMARY) SET state = ?, at = ${now} WHERE group_name = ? AND message_id = ?`,
    attempt: `INSERT INTO ${attempts} (group_name, message_id, attempt, at, error, stack, process)
      VALUES (?, ?, ?, ${now}, ?, ?, ?)
      ON DUPLICATE KEY UPDATE at = ${now}, error = ?, stack = ?, process = ?`,
    // With a lock it reads what is committed now, whatever snapshot the transaction has.
    first: `SELECT message_id, state FROM ${failure} FORCE INDEX (by_key)
      WHERE group_name = ? AND key_hash = ${KEY_HASH} AND blocks = 1 AND topic = ? AND \`key\` = ?
      ORDER BY seq LIMIT 1 FOR UPDATE`,
    release: `UPDATE ${failure} FORCE INDEX (PRIMARY) SET state = 'retrying', due_at = ${now}, version = version + 1
      WHERE group_name = ? AND message_id = ?`,
  }
  const first = async (tx: Tx, group: string, topic: string, key: string): Promise<Row | undefined> =>
    (await run(tx, sql.first, [group, clean(key), clean(topic), clean(key)])).rows[0]
  const setState: InboxRows<Tx>['setState'] = async (tx, group, id, state) => {
    await run(tx, sql.state, [state, group, idParam(id)])
  }
  return {
    setState,
    async setAttempt(tx, group, id, attempt, failed) {
      const told = [clean(failed.error), clean(failed.stack), failed.process]
      await run(tx, sql.attempt, [group, idParam(id), attempt, ...told, ...told])
    },
    async lockFirst(tx, group, topic, key) {
      return (await first(tx, group, topic, key)) !== undefined
    },
    async releaseNext(tx, group, topic, key) {
      const next = await first(tx, group, topic, key)
      if (next === undefined || text(next, 'state') !== 'blocked') return
      const id = text(next, 'message_id')
      await run(tx, sql.release, [group, id])
      await setState(tx, group, id, 'retrying')
    },
  }
}

/** The columns that `inbox` and `inbox_failure` share, in the order of `messageValues`. */
export const MESSAGE_COLUMNS =
  'group_name, message_id, type, topic, `key`, source, sent_at, causation_id, correlation_id'
export const MESSAGE_MARKS: string = `?, ?, ?, ?, ?, ?, ${INSTANT}, ?, ?`

export function messageValues(group: string, message: InboxMessage): SqlValue[] {
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
