import type { CrashPoint } from 'tandem/testing'

const MEANINGS: Partial<Record<CrashPoint, string>> = {
  'send.inserted': 'an order and its message were written, and not yet committed',
  'relay.read': 'it was about to publish what was in its outbox',
  'relay.published': 'its messages were in the queue, and still in its outbox, too',
  'relay.removed': 'its messages had just gone from its outbox',
  'consume.begun': 'a message was about to be handled, its transaction open',
  'consume.handled': 'a message had been handled, and not yet committed',
  'consume.committed': 'a message had been handled and committed, and the queue did not know it yet',
  'consume.acked': 'the queue had just been told that a message was handled',
}

/** Where a process was when it died, for people. */
export function describePoint(point: CrashPoint): string {
  return `at the point ${point}: ${MEANINGS[point] ?? 'between two steps'}`
}
