import { isTandemError, TandemError } from '../core/errors.ts'
import { checkName, checkOptions } from '../core/limits.ts'
import type { Broker } from '../spi/broker.ts'
import type { HalfSteps, InboxSteps, Store } from '../spi/store.ts'

/** What the administration needs of a store. Every `Store` fits, whatever its transactions are. */
export interface AdminStore extends Pick<Store<unknown>, 'name' | 'open' | 'close' | 'schema' | 'admin'> {
  readonly half: Pick<HalfSteps<unknown>, 'resolve' | 'closeBarrier'>
  readonly inbox: Pick<InboxSteps<unknown>, 'state'>
}

/** What the administration needs of a broker. Every `Broker` fits. */
export type AdminBroker = Pick<Broker, 'name' | 'open' | 'close' | 'health' | 'find'>

/** One service to look into: the adapters may be the very objects that the service itself runs on. */
export interface AdminService {
  /** Name of the service, as given to `createTandem`. */
  readonly service: string
  readonly store: AdminStore
  /** With it, `status` tells its health and `trace` looks into its topics. */
  readonly broker?: AdminBroker | undefined
}

const BROKER_DEADLINE = 5000

/** The services of one administration. Each is opened when it is first needed. */
export class Services {
  readonly all: readonly AdminService[]
  readonly #opening = new Map<AdminStore | AdminBroker, Promise<void>>()
  readonly #touched = new Set<AdminStore | AdminBroker>()

  constructor(all: readonly AdminService[]) {
    this.all = all
  }

  /** The service of this name, or all of them for none. */
  pick(name: string | undefined): readonly AdminService[] {
    if (name === undefined) return this.all
    const found = this.all.find((entry) => entry.service === name)
    if (found !== undefined) return [found]
    const known = this.all.map((entry) => entry.service).join(', ')
    throw new TandemError('NOT_FOUND', `there is no service ${JSON.stringify(name)} here; known are ${known}`)
  }

  /** The store of a service, open, with a schema that fits. */
  async store(entry: AdminService): Promise<AdminStore> {
    return this.#openStore(entry, false)
  }

  /** The store of a service, open, whatever its schema is. `create`: made if it is not there, for migrations. */
  async storeOfAnySchema(entry: AdminService, create: boolean): Promise<AdminStore> {
    try {
      return await this.#openStore(entry, create)
    } catch (error) {
      if (isTandemError(error, 'SCHEMA_OUTDATED') || isTandemError(error, 'SCHEMA_TOO_NEW')) return entry.store
      throw error
    }
  }

  /** The broker of a service, open; undefined if none was given. */
  async broker(entry: AdminService): Promise<AdminBroker | undefined> {
    const { broker, service } = entry
    if (broker !== undefined) await this.#open(broker, () => broker.open({ service, create: false }))
    return broker
  }

  /** Closes what was opened here. */
  async close(): Promise<void> {
    const touched = new Set(this.#touched)
    this.#touched.clear()
    this.#opening.clear()
    const closing = this.all.flatMap(({ store, broker }) => [
      ...(touched.has(store) ? [store.close()] : []),
      ...(broker !== undefined && touched.has(broker) ? [broker.close(BROKER_DEADLINE)] : []),
    ])
    const outcomes = await Promise.allSettled(closing)
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason as unknown
  }

  async #openStore(entry: AdminService, create: boolean): Promise<AdminStore> {
    await this.#open(entry.store, () => entry.store.open({ service: entry.service, create, migrate: false }))
    return entry.store
  }

  async #open(adapter: AdminStore | AdminBroker, open: () => Promise<void>): Promise<void> {
    // Even if it fails, something may be open that `close` must close.
    this.#touched.add(adapter)
    let opening = this.#opening.get(adapter)
    if (opening === undefined) {
      opening = open()
      this.#opening.set(adapter, opening)
    }
    try {
      await opening
    } catch (error) {
      // Tried again at the next call: the database may be back, or migrated, by then.
      this.#opening.delete(adapter)
      throw error
    }
  }
}

/** Checks that `candidate` can be an `AdminService`; `where` begins the message if not. */
export function checkService(where: string, candidate: unknown): asserts candidate is AdminService {
  if (typeof candidate !== 'object' || candidate === null) {
    throw new TandemError('CONFIG_INVALID', `${where}: a service is { service, store, broker? }`)
  }
  checkOptions(where, candidate, ['service', 'store', 'broker'])
  const { service, store, broker } = candidate as Partial<Record<keyof AdminService, unknown>>
  checkName('service', service)
  if (!hasMethods(store, ['open', 'close']) || typeof (store as Partial<AdminStore>).admin !== 'object') {
    throw new TandemError('CONFIG_INVALID', `${where}: store must be a store, for example sqlite(nodeSqlite(file))`)
  }
  if (broker !== undefined && !hasMethods(broker, ['open', 'close', 'health'])) {
    throw new TandemError('CONFIG_INVALID', `${where}: broker must be a broker adapter, or be left out`)
  }
}

/** Checks that every service is one, that there is one at all, and that no name is there twice. */
export function checkServices(where: string, candidates: readonly unknown[]): readonly AdminService[] {
  if (candidates.length === 0) throw new TandemError('CONFIG_INVALID', `${where}: there must be at least one service`)
  const names = new Set<string>()
  return candidates.map((candidate, index) => {
    checkService(candidates.length === 1 ? where : `${where}, service ${index + 1}`, candidate)
    if (names.has(candidate.service)) {
      throw new TandemError('CONFIG_INVALID', `${where}: the service ${candidate.service} is there twice`)
    }
    names.add(candidate.service)
    return candidate
  })
}

function hasMethods(candidate: unknown, names: readonly string[]): boolean {
  if (typeof candidate !== 'object' || candidate === null) return false
  return names.every((name) => typeof (candidate as Record<string, unknown>)[name] === 'function')
}
