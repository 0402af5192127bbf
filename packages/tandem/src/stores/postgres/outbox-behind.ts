import { ROW_BY_ROW, type PostgresContext } from './context.ts'

/** How many messages come back at once; the last of them brings the next. */
const BATCH = 100

/** The condition that an earlier message of the same key than that of `row` (an alias) is held. */
export function earlierHeld(heldTable: string, row: string): string {
  return `EXISTS (SELECT 1 FROM ${heldTable} earlier
    WHERE earlier.topic = ${row}.topic AND earlier.key = ${row}.key AND earlier.position < ${row}.position ${ROW_BY_ROW})`
}

/**
 * Brings back, to their old places in the outbox, the oldest messages that waited behind one of their key that is out of the way now.
 * Those behind another message that still waits (or is unsendable) stay. The caller has locked their shard.
 *
 * What makes this complete: whatever waits behind has an earlier message of its key that is either held itself or in the outbox
 * with `releases`, and each of those calls this when it goes.
 */
export function createReleaseBehind<Tx>({
  tables,
  run,
}: PostgresContext<Tx>): (tx: Tx, topic: string, key: string) => Promise<void> {
  const { outbox, outbox_held: held } = tables
  const moved = 'position, shard, id, topic, key, type, headers, body, attempts, first_failed_at, written_at'
  const sql = `WITH back AS (
      DELETE FROM ${held} WHERE seq = ANY (ARRAY (
        SELECT seq FROM ${held}
        WHERE state = 'behind' AND topic = $1::text AND key = $2::text AND position < coalesce(
          (SELECT min(position) FROM ${held}
            WHERE topic = $1::text AND key = $2::text AND position IS NOT NULL AND state IN ('waiting', 'unsendable')),
          9223372036854775807)
        ORDER BY position LIMIT ${BATCH}))
      RETURNING ${moved})
    INSERT INTO ${outbox} (${moved}, releases) SELECT ${moved}, true FROM back`
  return async (tx, topic, key) => {
    await run(tx, sql, [topic, key])
  }
}

/**
 * Locks what is held in some shards until the transaction ends: a relay that sets messages aside behind another, and a person who gives
 * that one up, must see each other's work.
 */
export function createLockHeld<Tx>({
  schema,
  run,
}: PostgresContext<Tx>): (tx: Tx, shards: readonly number[]) => Promise<void> {
  const sql = `SELECT count(locked::text)::int4 AS locked FROM (
    SELECT pg_advisory_xact_lock(hashtextextended('tandem ${schema} held', shard)) AS locked FROM (
      SELECT value::bigint AS shard FROM json_array_elements_text($1::text::json) ORDER BY 1) shards) locks`
  return async (tx, shards) => {
    await run(tx, sql, [JSON.stringify([...new Set(shards)])])
  }
}
