import type { InboxState } from '../../core/inbox-state.ts'
import type { BeginOutcome, InboxMessage, InboxSteps } from '../../spi/store.ts'
import { parts } from '../shared/statements.ts'
import { integer, text } from '../shared/rows.ts'
import { anyText, clean, instantOf, plusMs, ROW_BY_ROW, type PostgresContext } from './context.ts'
import { createExpire } from './inbox-expire.ts'
import { createInboxRows, idParam, keyIs, MESSAGE_COLUMNS, MESSAGE_PARAMETERS, messageValues } from './inbox-rows.ts'
import { byCount, rowList } from './lists.ts'
import { retrySteps, SET_ATTEMPT } from './retries.ts'

const ROWS_PER_STATEMENT = 4000

export function inboxSteps<Tx>(context: PostgresContext<Tx>): InboxSteps<Tx> {
  const { tables, now, read, run, own } = context
  const { inbox, inbox_failure: failure, inbox_attempt: attempts } = tables
  const rows = createInboxRows(context)
  const list = rowList({
    message_id: 'text',
    type: 'text',
    topic: 'text',
    key: 'text',
    source: 'text',
    sent_at: 'float8',
    causation_id: 'text',
    correlation_id: 'text',
  })
  const begin = (condition: string): ((count: number) => string) =>
    byCount(
      (count) => `INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at)
        SELECT $1::text, m.message_id, m.type, m.topic, m.key, m.source, ${instantOf('m.sent_at')}, m.causation_id,
          m.correlation_id, 'handled', ${now}
        FROM ${list.from(count, 2)}${condition} ON CONFLICT (group_name, message_id) DO NOTHING RETURNING message_id`,
    )
  const sql = {
    begin: begin(''),
    beginOrdered: begin(` WHERE NOT EXISTS (SELECT 1 FROM ${failure} f
      WHERE f.blocks AND f.group_name = $1::text AND f.topic = m.topic AND ${keyIs('f.', 'm.key')} ${ROW_BY_ROW})`),
    known: `SELECT message_id FROM ${inbox} WHERE group_name = $1::text AND message_id = ${anyText('$2')}`,
    state: `SELECT state FROM ${inbox} WHERE group_name = $1::text AND message_id = $2::text`,
    fail: `WITH fresh AS (
        INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at) VALUES (${MESSAGE_PARAMETERS}, $10::text, ${now})
        ON CONFLICT (group_name, message_id) DO NOTHING RETURNING group_name, message_id),
      failed AS (
        INSERT INTO ${failure} (${MESSAGE_COLUMNS}, state, headers, body, blocks, attempts, attempts_in_round, due_at, reason,
          error, died_at)
        SELECT ${MESSAGE_PARAMETERS}, $10::text, $11::text, $12::bytea, $13::int4 = 1, 1, 1, ${plusMs(now, '$14')}, $15::text,
          $16::text, CASE WHEN $10::text = 'dead' THEN ${now} END FROM fresh),
      noted AS (
        INSERT INTO ${attempts} (group_name, message_id, attempt, at, error, stack, process)
        SELECT group_name, message_id, 1, ${now}, $16::text, $17::text, $18::text FROM fresh ${SET_ATTEMPT})
      SELECT count(*)::int4 AS recorded FROM fresh`,
    block: `WITH fresh AS (
        INSERT INTO ${inbox} (${MESSAGE_COLUMNS}, state, at) VALUES (${MESSAGE_PARAMETERS}, 'blocked', ${now})
        ON CONFLICT (group_name, message_id) DO NOTHING RETURNING 1)
      INSERT INTO ${failure} (${MESSAGE_COLUMNS}, headers, body, blocks, state, attempts, attempts_in_round)
      SELECT ${MESSAGE_PARAMETERS}, $10::text, $11::bytea, true, 'blocked', 0, 0 FROM fresh`,
  }

  /** Tells the messages that a `begin` has inserted, those that are there already, and those whose key is blocked. */
  async function outcomes(
    tx: Tx,
    group: string,
    messages: readonly InboxMessage[],
    inserted: ReadonlySet<string>,
    ordered: boolean,
  ): Promise<BeginOutcome[]> {
    const isNew = new Set(inserted)
    const others = messages.map(({ id }) => idParam(id)).filter((id) => !inserted.has(id))
    const known = new Set(inserted)
    if (ordered && others.length > 0) {
      for (const row of (await run(tx, sql.known, [group, JSON.stringify(others)])).rows)
        known.add(text(row, 'message_id'))
    }
    return messages.map(({ id }) => {
      // Of two copies in one call the first is new.
      if (isNew.delete(idParam(id))) return 'new'
      return !ordered || known.has(idParam(id)) ? 'duplicate' : 'blocked'
    })
  }

  return {
    async begin(tx, group, messages, ordered) {
      const inserted = new Set<string>()
      const statement = ordered ? sql.beginOrdered : sql.begin
      for (const part of parts(messages, ROWS_PER_STATEMENT)) {
        const params = list.params(part.map((message) => messageValues(group, message).slice(1)))
        const { rows: fresh } = await run(tx, statement(part.length), [group, ...params])
        for (const row of fresh) inserted.add(text(row, 'message_id'))
      }
      return outcomes(tx, group, messages, inserted, ordered)
    },

    async recordFailure(group, message, attempt, next, ordered) {
      const dead = next.state === 'dead'
      const [row = {}] = await read(sql.fail, [
        ...messageValues(group, message),
        next.state,
        JSON.stringify(message.headers),
        message.body,
        ordered && message.key !== undefined ? 1 : 0,
        dead ? null : Math.round(next.delay),
        dead ? next.reason : null,
        clean(attempt.error),
        clean(attempt.stack),
        attempt.process,
      ])
      return integer(row, 'recorded') > 0 ? 'recorded' : 'duplicate'
    },

    async block(group, message) {
      const { id, topic, key } = message
      return own(async (tx) => {
        if ((await run(tx, sql.state, [group, idParam(id)])).rows.length > 0) return 'duplicate'
        // Waits for whoever is settling that one, and keeps it from being settled until this one stands behind it.
        if (key === undefined || !(await rows.touchFirst(tx, group, topic, key))) return 'free'
        const values = [...messageValues(group, message), JSON.stringify(message.headers), message.body]
        return (await run(tx, sql.block, values)).changed > 0 ? 'blocked' : 'duplicate'
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
