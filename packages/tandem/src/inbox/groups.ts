import { TandemError } from '../core/errors.ts'
import {
  mergeGroupOptions,
  settleGroup,
  settleHandler,
  type ConsumeOptions,
  type GroupSettings,
  type Handler,
} from './options.ts'
import type { AnyMessageType } from '../core/message.ts'
import type { Registration } from './incoming.ts'

interface Group<Tx> {
  options: Parameters<typeof settleGroup>[0]
  readonly registrations: Map<string, Registration<Tx>>
}

export interface SettledGroup<Tx> {
  readonly name: string
  readonly topics: readonly string[]
  readonly registrations: ReadonlyMap<string, Registration<Tx>>
  readonly settings: GroupSettings
}

/** The handlers that `consume` has registered, by consumer group. */
export class GroupRegistry<Tx> {
  readonly #groups = new Map<string, Group<Tx>>()

  /** @throws TandemError `HANDLER_DUPLICATE`, `CONFIG_INVALID`, `OPTION_UNKNOWN`, `NAME_INVALID`; nothing is registered then */
  add(
    types: readonly AnyMessageType[],
    handler: Handler<Tx, never>,
    options: ConsumeOptions,
    defaultGroup: string,
  ): void {
    if (types.length === 0 || types.some((type) => typeof type?.type !== 'string')) {
      throw new TandemError(
        'CONFIG_INVALID',
        'consume: pass a message type, or a list of them, as message() returns it',
      )
    }
    const where = `consume(${types.map(({ type }) => type).join(', ')})`
    if (typeof handler !== 'function')
      throw new TandemError('CONFIG_INVALID', `${where}: the handler must be a function`)
    const settings = settleHandler(where, options)
    const name = options.group ?? defaultGroup
    const group = this.#groups.get(name) ?? { options: {}, registrations: new Map<string, Registration<Tx>>() }
    const merged = mergeGroupOptions(name, group.options, options)
    for (const [i, { type }] of types.entries()) {
      if (!group.registrations.has(type) && types.findIndex((other) => other.type === type) === i) continue
      throw new TandemError(
        'HANDLER_DUPLICATE',
        `consumer group ${name} has a handler for ${type} already; a second effect belongs in a group of its own ({ group: … })`,
      )
    }
    group.options = merged
    for (const messageType of types) group.registrations.set(messageType.type, { messageType, handler, settings })
    this.#groups.set(name, group)
  }

  all(defaults: { readonly concurrency: number }): readonly SettledGroup<Tx>[] {
    return [...this.#groups].map(([name, { options, registrations }]) => ({
      name,
      topics: [...new Set([...registrations.values()].map(({ messageType }) => messageType.topic))],
      registrations,
      settings: settleGroup(options, defaults),
    }))
  }
}
