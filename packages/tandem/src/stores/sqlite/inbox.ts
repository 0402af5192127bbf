import type { InboxState } from '../../core/inbox-state.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { BeginOutcome, InboxMessage, InboxSteps } from '../../spi/store.ts'
import { parts, textsByCount } from '../shared/statements.ts'
import { rowsOf, type SqliteContext } from './context.ts'
import { createExpire } from './inbox-expire.ts'
import { createInboxRows, MESSAGE_COLUMNS, MESSAGE_MARKS, messageValues } from './inbox-rows.ts'
import { retrySteps } from './retries.ts'
import { integer, text } from '../shared/rows.ts'

/** 3,000 rows of 9 variables stay below SQLite's 32,766. */
const ROWS_PER_STATEMENT = 3000

/** Tells which of several rows were inserted. Of one row the number of changes says so, at half the cost of the statement. */
function returning(rows: number): string {
  return rows === 1 ? '' : 'RETURNING message_id'
}

export function inboxSteps<Tx>(context: SqliteContext<Tx>): InboxSteps<Tx> {
  const { driver, tables, now, read, run } = context
  const { inbox, inbox_failure: failure } = tables
  const rows = createInboxRows(context)
  const sql = {
    begin: textsByCount(
      (count) => `INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at)
        VALUES ${rowsOf(`(${MESSAGE_MARKS}, 'handled', ${now})`, count)}
        ON CONFLICT (group_name, message_id) DO NOTHING ${returning(count)}`,
    ),
    // column1 is group_name, column4 topic, column5 key.
    beginOrdered: textsByCount(
      (count) => `INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at)
        SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, 'handled', ${now}
        FROM (VALUES ${rowsOf(`(${MESSAGE_MARKS})`, count)})
        WHERE NOT EXISTS (SELECT 1 FROM ${failure} f
          WHERE f.blocks = 1 AND f.group_name = column1 AND f.topic = column4 AND f.key = column5)
        ON CONFLICT (group_name, message_id) DO NOTHING ${returning(count)}`,
    ),
    state: `SELECT state FROM ${inbox} WHERE group_name = ? AND message_id = ?`,
    blocked: `SELECT EXISTS (SELECT 1 FROM ${failure}
      WHERE blocks = 1 AND group_name = ? AND topic = ? AND key = ?) AS found`,
    unfinished: `INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at, seq)
      VALUES (${MESSAGE_MARKS}, ?, ${now},
        min(0, coalesce((SELECT seq FROM ${inbox} ORDER BY seq LIMIT 1), 0)) - 1)
      ON CONFLICT (group_name, message_id) DO NOTHING`,
    failure: `INSERT INTO ${failure} (${MESSAGE_COLUMNS}, headers, body, blocks, state, attempts, attempts_in_round,
        due_at, reason, error, died_at)
      VALUES (${MESSAGE_MARKS}, ?, ?, ?, ?, 1, 1, ${now} + ?, ?, ?, CASE WHEN ? = 'dead' THEN ${now} END)`,
    waiting: `INSERT INTO ${failure} (${MESSAGE_COLUMNS}, headers, body, blocks, state, attempts, attempts_in_round)
      VALUES (${MESSAGE_MARKS}, ?, ?, 1, 'blocked', 0, 0)`,
  }

  const contentOf = (message: InboxMessage): SqlValue[] => [JSON.stringify(message.headers), message.body]

  /** Tells the messages that a `begin` has inserted, those that are there already, and those whose key is blocked. */
  async function outcomes(
    tx: Tx,
    group: string,
    messages: readonly InboxMessage[],
    inserted: Set<string>,
    ordered: boolean,
  ): Promise<BeginOutcome[]> {
    const isNew = new Set(inserted)
    const result: BeginOutcome[] = []
    for (const { id } of messages) {
      // Of two copies in one call the first is new.
      if (isNew.delete(id)) result.push('new')
      else if (!ordered || inserted.has(id)) result.push('duplicate')
      else result.push((await run(tx, sql.state, [group, id])).rows.length > 0 ? 'duplicate' : 'blocked')
    }
    return result
  }

  return {
    async begin(tx, group, messages, ordered) {
      const inserted = new Set<string>()
      const statement = ordered ? sql.beginOrdered : sql.begin
      for (const part of parts(messages, ROWS_PER_STATEMENT)) {
        const values = part.flatMap((message) => messageValues(group, message))
        const result = await run(tx, statement(part.length), values)
        for (const row of result.rows) inserted.add(text(row, 'message_id'))
        if (part.length === 1 && result.changed > 0) inserted.add(part[0]?.id ?? '')
      }
      return outcomes(tx, group, messages, inserted, ordered)
    },

    recordFailure(group, message, attempt, next, ordered) {
      return driver.transaction(async (tx) => {
        const values = messageValues(group, message)
        const { changed } = await run(tx, sql.unfinished, [...values, next.state])
        if (changed === 0) return 'duplicate'
        const dead = next.state === 'dead'
        await run(tx, sql.failure, [
          ...values,
          ...contentOf(message),
          ordered && message.key !== undefined ? 1 : 0,
          next.state,
          dead ? null : Math.round(next.delay),
          dead ? next.reason : null,
          attempt.error,
          next.state,
        ])
        await rows.setAttempt(tx, group, message.id, 1, attempt)
        return 'recorded'
      })
    },

    block(group, message) {
      return driver.transaction(async (tx) => {
        if ((await run(tx, sql.state, [group, message.id])).rows.length > 0) return 'duplicate'
        const { rows: found } = await run(tx, sql.blocked, [group, message.topic, message.key ?? null])
        if (integer(found[0] ?? {}, 'found') === 0) return 'free'
        const values = messageValues(group, message)
        await run(tx, sql.unfinished, [...values, 'blocked'])
        await run(tx, sql.waiting, [...values, ...contentOf(message)])
        return 'blocked'
      })
    },

    ...retrySteps(context, rows),

    async state(group, id) {
      const [row] = await read(sql.state, [group, id])
      return row === undefined ? undefined : (text(row, 'state') as InboxState)
    },

    expire: createExpire(context),
  }
}
