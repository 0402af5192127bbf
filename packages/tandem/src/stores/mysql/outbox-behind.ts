import { integer } from '../shared/rows.ts'
import { KEY_HASH, NUMBERS, type MysqlContext } from './context.ts'

/** How many messages come back at once; the last of them brings the next. */
const BATCH = 100

/**
 * The condition that an earlier message of the same key than that of `row` (an alias) is held. Not an EXISTS, which either server may turn
 * into a join and read the whole table for.
 */
export function earlierHeld(heldTable: string, row: string): string {
  return `((SELECT 1 FROM ${heldTable} earlier FORCE INDEX (by_key)
    WHERE earlier.key_hash = crc32(${row}.\`key\`) AND earlier.position < ${row}.position
      AND earlier.topic = ${row}.topic AND earlier.\`key\` = ${row}.\`key\` LIMIT 1) IS NOT NULL)`
}

/**
 * Brings back, to their old places in the outbox, the oldest messages that waited behind one of their key that is out of the way now.
 * Those behind another message that still waits (or is unsendable) stay. The caller has locked their shard.
 *
 * What makes this complete: whatever waits behind has an earlier message of its key that is either held itself or in the outbox
 * and in `outbox_back`, and each of those calls this when it goes.
 */
export function createReleaseBehind<Tx>({
  tables,
  run,
}: MysqlContext<Tx>): (tx: Tx, topic: string, key: string) => Promise<void> {
  const { outbox, outbox_back: back, outbox_held: held } = tables
  const moved = 'position, shard, id, topic, `key`, type, headers, body, attempts, first_failed_at, written_at'
  const ofKey = `FORCE INDEX (by_key) WHERE key_hash = ${KEY_HASH} AND topic = ? AND \`key\` = ?`
  const listed = (table: string): string => `${NUMBERS} listed STRAIGHT_JOIN ${table}`
  const sql = {
    oldest: `SELECT position FROM ${held} ${ofKey} AND state = 'behind' AND position < coalesce(
        (SELECT min(position) FROM ${held} ${ofKey} AND position IS NOT NULL AND state IN ('waiting', 'unsendable')),
        9223372036854775807)
      ORDER BY position LIMIT ${BATCH}`,
    toOutbox: `INSERT INTO ${outbox} (${moved})
      SELECT ${moved} FROM ${listed(held)} FORCE INDEX (by_position) ON position = listed.value`,
    toBack: `INSERT INTO ${back} (position) SELECT value FROM ${NUMBERS} listed`,
    gone: `DELETE h FROM ${listed(`${held} h`)} FORCE INDEX (by_position) ON h.position = listed.value`,
  }
  return async (tx, topic, key) => {
    const { rows } = await run(tx, sql.oldest, [key, topic, key, key, topic, key])
    if (rows.length === 0) return
    const positions = [JSON.stringify(rows.map((row) => integer(row, 'position')))]
    await run(tx, sql.toOutbox, positions)
    await run(tx, sql.toBack, positions)
    await run(tx, sql.gone, positions)
  }
}
