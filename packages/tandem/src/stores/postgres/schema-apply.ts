import { setTimeout as pause } from 'node:timers/promises'
import { isTandemError, TandemError } from '../../core/errors.ts'
import { optionalText } from '../shared/rows.ts'
import type { MigrationFile } from '../shared/migrations.ts'
import { lockKey, type PostgresContext } from './context.ts'

/** In milliseconds. */
export interface Patience {
  /** How long a migration waits for the lock of a table. Who comes later queues up behind it for as long. */
  readonly lock: number
  /** Between two tries, in which those who have queued up get their turn. */
  readonly pause: number
  /** How long it is tried while tables are in use. */
  readonly tables: number
  /** How long it waits for another process that migrates. */
  readonly turn: number
}

export const PATIENCE: Patience = { lock: 500, pause: 1000, tables: 60_000, turn: 600_000 }

/** Between two looks at whether another process has done. */
const TURN_INTERVAL = 100

/** What a migration may take is not for the role's settings to say. `transaction_timeout` is of PostgreSQL 17. */
const NO_TIMEOUTS = `SELECT set_config(name, '0', true) AS value FROM pg_catalog.pg_settings
  WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`

/**
 * Applies one migration: in one transaction, of one process at a time. A lock that is not given soon is asked for again later, in another
 * transaction, so that nobody who uses the tables waits for long.
 */
export function createApply<Tx>(
  context: PostgresContext<Tx>,
  scriptOf: (file: MigrationFile) => string,
  patience: Patience,
): (next: (tx: Tx) => Promise<MigrationFile | undefined>) => Promise<MigrationFile | undefined> {
  const { driver, schema, read, run, own } = context
  const sql = {
    turn: `SELECT pg_try_advisory_xact_lock(${lockKey(schema, "'migrations'")}) AS mine`,
    schemaExists: `SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::text`,
    // Who holds locks on tables of the schema, the oldest transaction first.
    users: `SELECT 'process ' || a.pid || coalesce(' of ' || nullif(a.application_name, ''), '') || coalesce(', ' || a.state, '')
        || coalesce(', in a transaction for ' || extract(epoch FROM clock_timestamp() - a.xact_start)::int8 || ' s', '') AS what
      FROM pg_catalog.pg_stat_activity a
      WHERE a.pid <> pg_backend_pid() AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE l.pid = a.pid AND l.granted AND n.nspname = $1::text
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))
      ORDER BY a.xact_start LIMIT 3`,
  }

  type Outcome = { readonly applied: MigrationFile | undefined } | 'not my turn'

  return async (next) => {
    const began = performance.now()
    let busySince: number | undefined
    let wanted: MigrationFile | undefined
    const attempt = (tx: Tx): Promise<Outcome> => applyIn(tx, async () => (wanted = await next(tx)))
    for (;;) {
      let outcome: Outcome | undefined
      try {
        outcome = await own(attempt, { lockTimeout: patience.lock })
      } catch (error) {
        if (isDenied(error)) throw denied(error)
        if (!isTandemError(error, 'STORE_BUSY')) throw error
        busySince ??= performance.now()
        if (performance.now() - busySince > patience.tables) throw await inUse(wanted, error)
      }
      if (typeof outcome === 'object') return outcome.applied
      if (outcome !== undefined && performance.now() - began > patience.turn) throw notMyTurn()
      await pause(outcome === undefined ? patience.pause : TURN_INTERVAL)
    }
  }

  async function applyIn(tx: Tx, next: () => Promise<MigrationFile | undefined>): Promise<Outcome> {
    const [turn] = (await run(tx, sql.turn, [])).rows
    if (turn?.['mine'] !== true) return 'not my turn'
    // Somebody else may have done it while this one waited for its turn.
    const file = await next()
    if (file === undefined) return { applied: undefined }
    await run(tx, NO_TIMEOUTS, [])
    // Asked for first: a role that may use the schema need not be allowed to make one.
    const isThere = (await run(tx, sql.schemaExists, [schema])).rows.length > 0
    if (!isThere) await run(tx, `CREATE SCHEMA "${schema}"`, [])
    await driver.script(scriptOf(file), tx)
    return { applied: file }
  }

  async function inUse(file: MigrationFile | undefined, cause: unknown): Promise<TandemError> {
    const users = (await read(sql.users, [schema])).map((row) => optionalText(row, 'what') ?? '')
    const by = users.length === 0 ? '' : `, by ${users.join('; ')}`
    const what = file === undefined ? 'the migrations were' : `migration ${file.version} (${file.name}) was`
    return new TandemError(
      'STORE_BUSY',
      `${what} not applied: for ${Math.round(patience.tables / 1000)} s the tables were in use whenever it asked for them${by}. ` +
        'Let that end, or end it, and migrate again',
      { cause },
    )
  }

  function notMyTurn(): TandemError {
    const seconds = Math.round(patience.turn / 1000)
    return new TandemError(
      'STORE_BUSY',
      `another process has been migrating schema ${schema} for more than ${seconds} s`,
    )
  }

  function denied(cause: unknown): TandemError {
    return new TandemError(
      'CONFIG_INVALID',
      `the role of this connection may not make or change the tables of schema ${schema}: ${(cause as Error).message}. ` +
        'Migrate as a role that owns the schema, or may make it',
      { cause },
    )
  }
}

/** insufficient_privilege. */
function isDenied(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === '42501'
}
