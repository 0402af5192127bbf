import type { Clock } from '../core/clock.ts'
import type { Act, HeldRow, HeldState } from '../spi/admin-store.ts'
import { actOnEach, checkAct, type ActOptions, type Stopped } from './acts.ts'
import { readPage, type PageRequest } from './pages.ts'
import type { AdminService, Services } from './services.ts'
import { viewHeld, type HeldView, type PageView } from './views.ts'

export interface HeldSearch {
  readonly service?: string | undefined
  readonly state?: HeldState | undefined
}

export interface HeldResult {
  readonly id: string
  /** The service whose outbox had it; null if none. */
  readonly service: string | null
  /** `not-held`: no outbox has it in a state that the act is for. */
  readonly outcome: 'retried' | 'discarded' | 'not-held' | 'not-tried'
}

export interface HeldReport {
  readonly action: 'retry' | 'discard'
  readonly results: readonly HeldResult[]
  readonly stopped: Stopped | null
}

export type HeldOptions = Omit<ActOptions<HeldResult>, 'dryRun'> & { readonly service?: string | undefined }

export interface OutboxAdmin {
  /** Messages that the relay passes over: delayed, waiting for their next try, behind another of their key, unsendable. */
  held(filter?: HeldSearch, page?: PageRequest): Promise<PageView<HeldView>>
  /** Lets `unsendable` or `waiting` messages be published again now. */
  retry(ids: readonly string[], act: Act, options?: HeldOptions): Promise<HeldReport>
  /** Gives `unsendable` messages up; the next of their keys go on. */
  discard(ids: readonly string[], act: Act, options?: HeldOptions): Promise<HeldReport>
}

export function outbox(services: Services, clock: Clock): OutboxAdmin {
  const act = async (
    action: 'retry' | 'discard',
    ids: readonly string[],
    by: Act,
    { service, ...options }: HeldOptions = {},
  ): Promise<HeldReport> => {
    const who = checkAct(by)
    const entries = services.pick(service)
    const work = async (id: string): Promise<HeldResult> => {
      for (const entry of entries) {
        const { admin } = await services.store(entry)
        const done = action === 'retry' ? await admin.retryHeld(id, who) : await admin.discardHeld(id, who)
        if (done) return { id, service: entry.service, outcome: action === 'retry' ? 'retried' : 'discarded' }
      }
      return { id, service: null, outcome: 'not-held' }
    }
    const untried = (id: string): HeldResult => ({ id, service: null, outcome: 'not-tried' })
    return { action, ...(await actOnEach([...new Set(ids)], options, clock, work, untried)) }
  }

  return {
    async held(filter = {}, page = {}) {
      const source = {
        read: async (entry: AdminService, at: { limit: number; after?: string }) =>
          (await services.store(entry)).admin.heldMessages(
            filter.state === undefined ? {} : { state: filter.state },
            at,
          ),
        // Held messages have no instant of their own that all of them share: one service after the other.
        at: () => 0,
      }
      return readPage<HeldRow, HeldView>(services.pick(filter.service), page, source, viewHeld)
    },
    retry: (ids, by, options) => act('retry', ids, by, options),
    discard: (ids, by, options) => act('discard', ids, by, options),
  }
}
