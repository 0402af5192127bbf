import type { SqliteContext } from './context.ts'
import { integer } from '../shared/rows.ts'

/** How many messages come back at once; the last of them brings the next. */
const BATCH = 100

/** The condition that an earlier message of the same key than that of `row` (an alias) is held. */
export function earlierHeld(heldTable: string, row: string): string {
  return `EXISTS (SELECT 1 FROM ${heldTable} earlier
    WHERE earlier.topic = ${row}.topic AND earlier.key = ${row}.key AND earlier.position < ${row}.position)`
}

/**
 * Brings back, to their old places in the outbox, the oldest messages that waited behind one of their key that is out of the way now.
 * Those behind another message that still waits (or is unsendable) stay.
 *
 * What makes this complete: whatever waits behind has an earlier message of its key that is either held itself or in the outbox
 * with `releases`, and each of those calls this when it goes.
 */
export function createReleaseBehind<Tx>({
  tables,
  run,
}: SqliteContext<Tx>): (tx: Tx, topic: string, key: string) => Promise<void> {
  const { outbox, outbox_held: held } = tables
  const sql = {
    oldest: `SELECT position FROM ${held}
      WHERE state = 'behind' AND topic = ? AND key = ? AND position < coalesce(
        (SELECT min(position) FROM ${held}
          WHERE topic = ? AND key = ? AND position IS NOT NULL AND state IN ('waiting', 'unsendable')),
        9223372036854775807)
      ORDER BY position LIMIT ${BATCH}`,
    back: `INSERT INTO ${outbox}
        (position, shard, id, topic, key, type, headers, body, attempts, first_failed_at, releases, written_at)
      SELECT position, shard, id, topic, key, type, headers, body, attempts, first_failed_at, 1, written_at
      FROM ${held} WHERE position IN (SELECT value FROM json_each(?))`,
    gone: `DELETE FROM ${held} WHERE position IN (SELECT value FROM json_each(?))`,
  }
  return async (tx, topic, key) => {
    const { rows } = await run(tx, sql.oldest, [topic, key, topic, key])
    if (rows.length === 0) return
    const positions = JSON.stringify(rows.map((row) => integer(row, 'position')))
    await run(tx, sql.back, [positions])
    await run(tx, sql.gone, [positions])
  }
}
