import { systemClock, type Clock } from '../core/clock.ts'
import { TandemError } from '../core/errors.ts'
import { checkOptions } from '../core/limits.ts'
import { deadLetters, type DeadLetters } from './dead-letters.ts'
import { half, type HalfAdmin } from './half.ts'
import { outbox, type OutboxAdmin } from './outbox.ts'
import { readPage, type PageRequest } from './pages.ts'
import { checkService, checkServices, Services, type AdminService } from './services.ts'
import {
  checkTarget,
  migrate,
  schemaOf,
  statusOf,
  type MigrateView,
  type SchemaView,
  type ServiceStatus,
} from './status.ts'
import { trace, type TraceOptions, type TraceView } from './trace.ts'
import { viewAudit, type AuditView, type PageView } from './views.ts'

/** One service, or several. */
export type AdminOptions =
  | AdminService
  | { readonly stores: readonly AdminService[]; readonly clock?: Clock | undefined }

/**
 * What a person sees and decides, over one service or several. Everything it answers is plain data that survives JSON, with payloads
 * decoded and what is sensitive masked. Stores and brokers are opened when they are first needed.
 */
export interface Admin {
  /** Names of the services, in the order given. */
  readonly services: readonly string[]
  status(service?: string): Promise<readonly ServiceStatus[]>
  readonly schema: {
    status(service?: string): Promise<readonly SchemaView[]>
    /**
     * Applies what is pending, one service after the other. Safe when many do it at once.
     *
     * @param options.to the version to come to, forward only; default: the latest
     * @throws TandemError `CONFIG_INVALID`, before anything is changed, when a service has no such version or is past it
     */
    migrate(service?: string, options?: { readonly to?: number | undefined }): Promise<readonly MigrateView[]>
  }
  readonly deadLetters: DeadLetters
  readonly half: HalfAdmin
  readonly outbox: OutboxAdmin
  /** Who did what and why, newest first. */
  audit(filter?: { readonly service?: string | undefined }, page?: PageRequest): Promise<PageView<AuditView>>
  /**
   * What became of a message and of those it caused.
   *
   * @throws TandemError `NOT_FOUND`
   */
  trace(id: string, options?: TraceOptions): Promise<TraceView>
  /** Closes the stores and brokers that were opened here. Not for adapters that a running service shares. */
  close(): Promise<void>
}

/**
 * @example
 * const admin = createAdmin({ service: 'order', ...embedded('./data') })
 * await admin.deadLetters.replay({ filter: { type: 'orders.placed' } }, { by: 'kim', reason: 'fixed in 1.4.2' })
 *
 * @throws TandemError `CONFIG_INVALID`, `NAME_INVALID`, `OPTION_UNKNOWN`
 */
export function createAdmin(options: AdminOptions): Admin {
  const { entries, clock } = readOptions(options)
  const services = new Services(entries)
  return {
    services: entries.map((entry) => entry.service),
    status: (service) => Promise.all(services.pick(service).map((entry) => statusOf(services, entry))),
    schema: {
      status: (service) => Promise.all(services.pick(service).map((entry) => schemaOf(services, entry))),
      async migrate(service, migrateOptions = {}) {
        checkOptions('migrate', migrateOptions, ['to'])
        const picked = services.pick(service)
        for (const entry of picked) await checkTarget(services, entry, migrateOptions)
        const done: MigrateView[] = []
        for (const entry of picked) done.push(await migrate(services, entry, migrateOptions))
        return done
      },
    },
    deadLetters: deadLetters(services, clock),
    half: half(services),
    outbox: outbox(services, clock),
    async audit(filter = {}, page = {}) {
      const source = {
        read: async (entry: AdminService, at: { limit: number; after?: string }) =>
          (await services.store(entry)).admin.auditTrail(at),
        at: (row: { at: number }) => row.at,
      }
      return readPage(services.pick(filter.service), page, source, viewAudit)
    },
    trace: (id, traceOptions) => trace(services, id, traceOptions),
    close: () => services.close(),
  }
}

function readOptions(options: AdminOptions): { entries: readonly AdminService[]; clock: Clock } {
  if (typeof options !== 'object' || options === null || !('stores' in options)) {
    checkService('createAdmin', options)
    return { entries: [options], clock: systemClock }
  }
  checkOptions('createAdmin', options, ['stores', 'clock'])
  if (!Array.isArray(options.stores)) {
    throw new TandemError('CONFIG_INVALID', 'createAdmin: stores must be a list of { service, store, broker? }')
  }
  return { entries: checkServices('createAdmin', options.stores), clock: options.clock ?? systemClock }
}
