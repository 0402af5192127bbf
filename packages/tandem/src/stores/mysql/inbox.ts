import type { InboxState } from '../../core/inbox-state.ts'
import type { SqlValue } from '../../spi/driver.ts'
import type { BeginOutcome, InboxMessage, InboxSteps } from '../../spi/store.ts'
import { integer, text } from '../shared/rows.ts'
import { parts, textsByCount } from '../shared/statements.ts'
import { clean, idParam, plusMs, rowsOf, WHOLE, type MysqlContext } from './context.ts'
import { createExpire } from './inbox-expire.ts'
import { createInboxRows, MESSAGE_COLUMNS, MESSAGE_MARKS, messageValues } from './inbox-rows.ts'
import { retrySteps } from './retries.ts'

/** 4,000 rows of 9 values stay below the 65,535 that a prepared statement may have. */
const ROWS_PER_STATEMENT = 4000

export function inboxSteps<Tx>(context: MysqlContext<Tx>): InboxSteps<Tx> {
  const { tables, now, read, run, own } = context
  const { inbox, inbox_failure: failure } = tables
  const rows = createInboxRows(context)
  const insert = (state: string, count: number): string => `INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at)
    VALUES ${rowsOf(`(${MESSAGE_MARKS}, ${state}, ${now})`, count)} ON DUPLICATE KEY UPDATE again = ${inbox}.again + 1`
  const sql = {
    // Of each row that is new one change is counted, of each that was there two, whatever the server was told to count for rows that stay
    // as they are.
    begin: textsByCount((count) => insert("'handled'", count)),
    // In a transaction that has just inserted some of them: the others were there, and have come again now.
    again: textsByCount(
      (count) => `SELECT message_id FROM ${inbox} FORCE INDEX (PRIMARY)
        WHERE group_name = ? AND message_id IN (${rowsOf('?', count)}) AND again > 0`,
    ),
    known: textsByCount(
      (count) => `SELECT message_id FROM ${inbox} FORCE INDEX (PRIMARY)
        WHERE group_name = ? AND message_id IN (${rowsOf('?', count)})`,
    ),
    // By itself, and not a part of the INSERT: there it would lock what it reads, and the gap where it finds nothing, at REPEATABLE READ.
    blocked: `SELECT m.n FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY, topic LONGTEXT PATH '$[0]', \`key\` LONGTEXT PATH '$[1]')) AS m
      WHERE (SELECT 1 FROM ${failure} f FORCE INDEX (by_key) WHERE f.group_name = ? AND f.key_hash = crc32(m.\`key\`) AND f.blocks = 1
        AND f.topic = m.topic AND f.\`key\` = m.\`key\` LIMIT 1) IS NOT NULL`,
    state: `SELECT state FROM ${inbox} WHERE group_name = ? AND message_id = ?`,
    unfinished: insert('?', 1),
    failure: `INSERT INTO ${failure} (${MESSAGE_COLUMNS}, headers, body, blocks, state, attempts, attempts_in_round,
        due_at, reason, error, died_at)
      VALUES (${MESSAGE_MARKS}, ?, ?, ?, ?, 1, 1, ${plusMs(now, WHOLE)}, ?, ?, CASE WHEN ? = 'dead' THEN ${now} END)`,
    waiting: `INSERT INTO ${failure} (${MESSAGE_COLUMNS}, headers, body, blocks, state, attempts, attempts_in_round)
      VALUES (${MESSAGE_MARKS}, ?, ?, 1, 'blocked', 0, 0)`,
  }

  const contentOf = (message: InboxMessage): SqlValue[] => [JSON.stringify(message.headers), message.body]

  /** The ids of the messages whose key is blocked. */
  async function blockedIn(tx: Tx, group: string, messages: readonly InboxMessage[]): Promise<ReadonlySet<string>> {
    const keyed = messages.filter(({ key }) => key !== undefined)
    if (keyed.length === 0) return new Set()
    const keys = JSON.stringify(keyed.map(({ topic, key = '' }) => [clean(topic), clean(key)]))
    const found = await run(tx, sql.blocked, [keys, group])
    return new Set(found.rows.map((row) => idParam(keyed[integer(row, 'n') - 1]?.id ?? '')))
  }

  /** Inserts what is not there; gives the ids of what was. */
  async function insertNew(tx: Tx, group: string, messages: readonly InboxMessage[]): Promise<ReadonlySet<string>> {
    const there = new Set<string>()
    // In one order, so that no two handlers of the same messages block each other.
    const sorted = messages.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    for (const part of parts(sorted, ROWS_PER_STATEMENT)) {
      const values = part.flatMap((message) => messageValues(group, message))
      const { changed } = await run(tx, sql.begin(part.length), values)
      if (changed === part.length) continue
      const ids = part.map(({ id }) => idParam(id))
      if (part.length === 1) there.add(ids[0] ?? '')
      else {
        const again = await run(tx, sql.again(ids.length), [group, ...ids])
        for (const row of again.rows) there.add(text(row, 'message_id'))
      }
    }
    return there
  }

  return {
    async begin(tx, group, messages, ordered) {
      const blocked = ordered ? await blockedIn(tx, group, messages) : new Set<string>()
      const free = new Map<string, InboxMessage>()
      const behind: string[] = []
      for (const message of messages) {
        const id = idParam(message.id)
        if (blocked.has(id)) behind.push(id)
        else if (!free.has(id)) free.set(id, message)
      }
      const there = new Set(free.size === 0 ? [] : await insertNew(tx, group, [...free.values()]))
      if (behind.length > 0) {
        const known = await run(tx, sql.known(behind.length), [group, ...behind])
        for (const row of known.rows) there.add(text(row, 'message_id'))
      }
      return messages.map((message): BeginOutcome => {
        const id = idParam(message.id)
        if (there.has(id)) return 'duplicate'
        if (blocked.has(id)) return 'blocked'
        // Of two copies in one call the first is new.
        return free.delete(id) ? 'new' : 'duplicate'
      })
    },

    recordFailure(group, message, attempt, next, ordered) {
      return own(async (tx) => {
        const values = messageValues(group, message)
        const { changed } = await run(tx, sql.unfinished, [...values, next.state])
        if (changed !== 1) return 'duplicate'
        const dead = next.state === 'dead'
        await run(tx, sql.failure, [
          ...values,
          ...contentOf(message),
          ordered && message.key !== undefined ? 1 : 0,
          next.state,
          dead ? null : Math.round(next.delay),
          dead ? next.reason : null,
          clean(attempt.error),
          next.state,
        ])
        await rows.setAttempt(tx, group, message.id, 1, attempt)
        return 'recorded'
      })
    },

    block(group, message) {
      const { id, topic, key } = message
      return own(async (tx) => {
        if ((await run(tx, sql.state, [group, idParam(id)])).rows.length > 0) return 'duplicate'
        // Waits for whoever is settling that one, and keeps it from being settled until this one stands behind it.
        if (key === undefined || !(await rows.lockFirst(tx, group, topic, key))) return 'free'
        const values = messageValues(group, message)
        if ((await run(tx, sql.unfinished, [...values, 'blocked'])).changed !== 1) return 'duplicate'
        await run(tx, sql.waiting, [...values, ...contentOf(message)])
        return 'blocked'
      })
    },

    ...retrySteps(context, rows),

    async state(group, id) {
      const [row] = await read(sql.state, [group, idParam(id)])
      return row === undefined ? undefined : (text(row, 'state') as InboxState)
    },

    expire: createExpire(context),
  }
}
