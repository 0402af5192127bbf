/**
 * The named instants between two durable steps at which a process may die. `docs/internals/crash-tables.md` says for each what is on
 * disk then and who goes on. `tandem/testing` arms them; nothing happens at them otherwise.
 */
export const CRASH_POINTS = [
  /** The outbox rows are written in the local transaction, which is still open. */
  'send.inserted',
  /** The relay has read messages and published none. */
  'relay.read',
  /** The broker has confirmed; the outbox rows are still there. */
  'relay.published',
  /** The outbox rows are gone. */
  'relay.removed',
  /** A message that cannot be published is set aside. */
  'relay.held',
  /** The half message is prepared; the local transaction has not begun. */
  'half.prepared',
  /** The local transaction with its barrier has committed; the half message is still `prepared`. */
  'half.local-committed',
  /** The half message is committed or rolled back; the caller does not know yet. */
  'half.resolved',
  /** The check has an answer that is recorded nowhere. */
  'check.answered',
  /** The barrier is closed (`rollback`); the half message is still `prepared`. */
  'check.closed',
  /** The half message is resolved by the check. */
  'check.resolved',
  /** The inbox row is written, the handler has not run, the transaction is open. */
  'consume.begun',
  /** The handler has run and its messages are in the outbox; the transaction is open. */
  'consume.handled',
  /** The transaction is committed; the broker has no ack. */
  'consume.committed',
  /** The broker has the ack. */
  'consume.acked',
  /** The handling failed and is rolled back; the attempt is recorded nowhere. */
  'consume.failed',
  /** The attempt is recorded; the broker has no ack. */
  'consume.recorded',
  /** A retry is marked as begun; the handler has not run. */
  'retry.begun',
  /** The retry's handler has run; the transaction is open. */
  'retry.handled',
  /** The retry's transaction is committed. */
  'retry.committed',
  /** The retry failed and is rolled back; the attempt is recorded nowhere. */
  'retry.failed',
  /** A dead letter is set to be handled again; no process has begun. */
  'replay.requested',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

type Hook = (point: CrashPoint) => void

let hook: Hook | undefined

/** Called by the library at each crash point. */
export function crashPoint(point: CrashPoint): void {
  if (hook !== undefined) hook(point)
}

/** Sets what happens at every crash point of this process. For `tandem/testing`. */
export function onCrashPoint(next: Hook | undefined): void {
  hook = next
}
