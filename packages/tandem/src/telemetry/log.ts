import { errorText } from '../core/errors.ts'
import type { Events } from '../core/events.ts'

/** Where an instance writes what a person should know. The console and every common logger fit. */
export interface Log {
  warn(line: string): void
  error(line: string): void
}

/** Writes a line for each event that calls for a person. Returns a function that stops it. */
export function logEvents(events: Events, service: string, log: Log): () => void {
  const prefix = `tandem[${service}]`
  const stops = [
    events.on('message.dead', ({ group, id, type, attempt, reason, error }) =>
      log.error(
        `${prefix} group ${group}: ${type} ${id} is dead after attempt ${attempt} (${reason}): ${firstLine(error)}`,
      ),
    ),
    events.on('message.unsendable', ({ id, type, error }) =>
      log.error(`${prefix} ${type} ${id} cannot be published: ${firstLine(error)}. See "tandem outbox list"`),
    ),
    events.on('half.undecided', ({ id, type }) =>
      log.error(`${prefix} half message ${id} (${type}) is undecided after its last check. See "tandem half list"`),
    ),
    events.on('loop.failed', ({ loop, error, failures }) => {
      // The first failure, then at 2, 4, 8, …: an outage must not fill the disk.
      if ((failures & (failures - 1)) === 0) {
        log.warn(
          `${prefix} ${loop}: failed ${failures === 1 ? 'once' : `${failures} times in a row`}: ${firstLine(errorText(error))}`,
        )
      }
    }),
    events.on('loop.recovered', ({ loop, failures }) =>
      log.warn(`${prefix} ${loop}: works again after ${failures} failure${failures === 1 ? '' : 's'}`),
    ),
    events.on('warning', ({ text }) => log.warn(`${prefix} ${text}`)),
  ]
  return () => stops.forEach((stop) => stop())
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
