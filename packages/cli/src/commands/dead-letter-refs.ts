import { Option, type Command } from 'commander'
import {
  DEAD_REASONS,
  TandemError,
  type Admin,
  type DeadLetterSearch,
  type DeadReason,
  type SettledRef,
} from 'tandem/admin'
import type { CommonOptions } from '../command.ts'

export interface FilterOptions {
  readonly group?: string
  readonly type?: string
  readonly topic?: string
  readonly key?: string
  readonly deadReason?: DeadReason
  readonly error?: string
}

export function withFilter(command: Command): Command {
  return command
    .option('--group <group>', 'of this consumer group')
    .option('--type <type>', 'of this message type')
    .option('--topic <topic>', 'of this topic')
    .option('--key <key>', 'with this key')
    .addOption(new Option('--dead-reason <reason>', 'dead for this reason').choices(DEAD_REASONS))
    .option('--error <text>', 'whose last error contains this')
}

/** The search that the options stand for. */
export function searchOf(options: FilterOptions & CommonOptions): DeadLetterSearch {
  const { service, group, type, topic, key, deadReason, error } = options
  return { service, group, type, topic, key, reason: deadReason, error }
}

/** Names of the filter options that were given, besides those that name one message. */
export function filtersGiven(options: FilterOptions): readonly string[] {
  const { type, topic, key, deadReason, error } = options
  const given = { '--type': type, '--topic': topic, '--key': key, '--dead-reason': deadReason, '--error': error }
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]))
}

/**
 * The dead letter that an id stands for. The group may be left out where the message is dead in one group only.
 *
 * @throws TandemError `NOT_FOUND`, or `CONFLICT` when it is not clear which is meant
 */
export async function locate(admin: Admin, id: string, options: FilterOptions & CommonOptions): Promise<SettledRef> {
  const only = options.service ?? (admin.services.length === 1 ? admin.services[0] : undefined)
  if (options.group !== undefined && only !== undefined) return { service: only, group: options.group, id }
  const known = await admin.deadLetters.find(id, { service: options.service })
  const places = known.filter(({ group }) => options.group === undefined || group === options.group)
  const dead = places.filter(({ state }) => state === 'dead')
  const [place, ...others] = dead.length > 0 ? dead : places
  if (place === undefined) {
    const where = options.group === undefined ? 'no consumer group' : `the group ${options.group} not`
    throw new TandemError('NOT_FOUND', `message ${id} is known to ${where}; look for it with tandem trace ${id}`)
  }
  if (others.length > 0) {
    const names = [place, ...others].map(({ service, group, state }) => `${group} of ${service} (${state})`).join(', ')
    throw new TandemError(
      'CONFLICT',
      `message ${id} is known to several groups: ${names}; name one with --group or --service`,
    )
  }
  return { service: place.service, group: place.group, id }
}
