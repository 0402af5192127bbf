import type { InboxState } from '../../core/inbox-state.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { FailedAttempt, InboxMessage } from '../../spi/store.ts'
import type { SqliteContext } from './context.ts'
import { text } from '../shared/rows.ts'

type FinishedState = Extract<InboxState, 'handled' | 'discarded'>

/** The statements that several areas of the inbox share. All run in the caller's transaction. */
export interface InboxRows<Tx> {
  /** Sets the state of an unfinished message. */
  setState(tx: Tx, group: string, id: string, state: Exclude<InboxState, FinishedState>): Promise<void>
  /** Sets the last state, and with it the row's place among the finished ones. */
  finish(tx: Tx, group: string, id: string, state: FinishedState): Promise<void>
  /** Writes the failed attempt of this number, in place of what was there. */
  setAttempt(tx: Tx, group: string, id: string, attempt: number, failed: FailedAttempt): Promise<void>
  removeAttempt(tx: Tx, group: string, id: string, attempt: number): Promise<void>
  /** Makes the first message of the key that still keeps others back due now, if it has not been tried since it was blocked. */
  releaseNext(tx: Tx, group: string, topic: string, key: string): Promise<void>
}

export function createInboxRows<Tx>({ tables, now, run }: SqliteContext<Tx>): InboxRows<Tx> {
  const { inbox, inbox_failure: failure, inbox_attempt: attempts } = tables
  const sql = {
    state: `UPDATE ${inbox} SET state = ?, at = ${now} WHERE group_name = ? AND message_id = ?`,
    finish: `UPDATE ${inbox} SET state = ?, at = ${now},
        seq = max(0, coalesce((SELECT seq FROM ${inbox} ORDER BY seq DESC LIMIT 1), 0)) + 1
      WHERE group_name = ? AND message_id = ?`,
    attempt: `INSERT INTO ${attempts} (group_name, message_id, attempt, at, error, stack, process)
      VALUES (?, ?, ?, ${now}, ?, ?, ?) ON CONFLICT (group_name, message_id, attempt) DO UPDATE
      SET at = excluded.at, error = excluded.error, stack = excluded.stack, process = excluded.process`,
    removeAttempt: `DELETE FROM ${attempts} WHERE group_name = ? AND message_id = ? AND attempt = ?`,
    release: `UPDATE ${failure} SET state = 'retrying', due_at = ${now}, version = version + 1
      WHERE state = 'blocked' AND seq = (
        SELECT seq FROM ${failure} WHERE blocks = 1 AND group_name = ? AND topic = ? AND key = ? ORDER BY seq LIMIT 1)
      RETURNING message_id`,
  }
  const setState: InboxRows<Tx>['setState'] = async (tx, group, id, state) => {
    await run(tx, sql.state, [state, group, id])
  }
  return {
    setState,
    async finish(tx, group, id, state) {
      await run(tx, sql.finish, [state, group, id])
    },
    async setAttempt(tx, group, id, attempt, failed) {
      await run(tx, sql.attempt, [group, id, attempt, failed.error, failed.stack, failed.process])
    },
    async removeAttempt(tx, group, id, attempt) {
      await run(tx, sql.removeAttempt, [group, id, attempt])
    },
    async releaseNext(tx, group, topic, key) {
      const { rows } = await run(tx, sql.release, [group, topic, key])
      for (const row of rows) await setState(tx, group, text(row, 'message_id'), 'retrying')
    },
  }
}

/** The columns that `inbox` and `inbox_failure` share, in the order of `messageValues`. */
export const MESSAGE_COLUMNS = 'group_name, message_id, type, topic, key, source, sent_at, causation_id, correlation_id'
export const MESSAGE_MARKS = '?, ?, ?, ?, ?, ?, ?, ?, ?'

export function messageValues(group: string, message: InboxMessage): SqlValue[] {
  const { id, type, topic, key, source, sentAt, causationId, correlationId } = message
  return [group, id, type, topic, key ?? null, source, Math.round(sentAt), causationId ?? null, correlationId]
}
