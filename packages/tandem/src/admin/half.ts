import { TandemError } from '../core/errors.ts'
import { stateAfter, type HalfDecision, type HalfState } from '../core/half-state.ts'
import type { Act, HalfRow } from '../spi/admin-store.ts'
import { checkAct } from './acts.ts'
import { readPage, type PageRequest } from './pages.ts'
import type { AdminService, AdminStore, Services } from './services.ts'
import { viewHalf, type HalfView, type PageView } from './views.ts'

export interface HalfSearch {
  readonly service?: string | undefined
  readonly state?: HalfState | undefined
}

export interface DecideReport {
  readonly service: string
  readonly id: string
  readonly state: HalfState
  /** `repeated`: it had been decided the same way before. */
  readonly outcome: 'decided' | 'repeated'
}

export interface HalfAdmin {
  /** Newest first. */
  list(filter?: HalfSearch, page?: PageRequest): Promise<PageView<HalfView>>
  /** @throws TandemError `NOT_FOUND` when no service has an open half message of this id */
  show(id: string, service?: string): Promise<HalfView>
  /**
   * Decides a half message in the place of the producer. Where the local transaction writes a barrier, the decision must agree with it.
   *
   * @throws TandemError `NOT_FOUND`, `HALF_DECIDED` when it was decided the other way, `CONFLICT` when the barrier says otherwise,
   * `STORE_BUSY` when the local transaction is still open
   */
  decide(id: string, decision: HalfDecision, act: Act, service?: string): Promise<DecideReport>
}

/** Milliseconds that a decision waits for a local transaction which is still open. */
const BARRIER_TIMEOUT = 1000
const PAGE = 500

export function half(services: Services): HalfAdmin {
  const find = async (id: string, service?: string): Promise<{ entry: AdminService; row: HalfRow } | undefined> => {
    for (const entry of services.pick(service)) {
      const row = await openHalf(await services.store(entry), id)
      if (row !== undefined) return { entry, row }
    }
    return undefined
  }

  return {
    async list(filter = {}, page = {}) {
      const source = {
        read: async (entry: AdminService, at: { limit: number; after?: string }) =>
          (await services.store(entry)).admin.halfMessages(
            filter.state === undefined ? {} : { state: filter.state },
            at,
          ),
        at: (row: HalfRow) => row.preparedAt,
      }
      return readPage(services.pick(filter.service), page, source, viewHalf)
    },
    async show(id, service) {
      const found = await find(id, service)
      if (found === undefined) throw notFound(id)
      return viewHalf(found.entry.service, found.row)
    },
    async decide(id, decision, act, service) {
      const who = checkAct(act)
      if (decision !== 'commit' && decision !== 'rollback') {
        throw new TandemError('CONFIG_INVALID', `half message ${id}: the decision must be commit or rollback`)
      }
      const found = await find(id, service)
      for (const entry of found === undefined ? services.pick(service) : [found.entry]) {
        const store = await services.store(entry)
        if (found?.row.barrier === true) await agreeWithBarrier(store, id, decision)
        const resolved = await store.half.resolve(id, decision)
        if (resolved === undefined) continue
        if (resolved.state !== stateAfter(decision)) {
          throw new TandemError('HALF_DECIDED', `half message ${id} is already ${resolved.state}; it stays so`)
        }
        if (resolved.changed) await store.admin.audit(who, `half.${decision}`, id)
        return {
          service: entry.service,
          id,
          state: resolved.state,
          outcome: resolved.changed ? 'decided' : 'repeated',
        }
      }
      throw notFound(id)
    },
  }
}

/** The row of a half message that is not decided. There are few of them, so they are looked through. */
async function openHalf(store: AdminStore, id: string): Promise<HalfRow | undefined> {
  for (const state of ['undecided', 'prepared'] as const) {
    let after: string | undefined
    do {
      const page: readonly HalfRow[] = await store.admin.halfMessages(
        { state },
        { limit: PAGE, ...(after === undefined ? {} : { after }) },
      )
      const row = page.find((candidate) => candidate.id === id)
      if (row !== undefined) return row
      after = page.length < PAGE ? undefined : page.at(-1)?.cursor
    } while (after !== undefined)
  }
  return undefined
}

/** A person may not know better than the barrier, which is closed here if the local transaction has not committed. */
async function agreeWithBarrier(store: AdminStore, id: string, decision: HalfDecision): Promise<void> {
  const answer = await store.half.closeBarrier(id, BARRIER_TIMEOUT)
  if (answer === decision) return
  if (answer === 'unknown') {
    throw new TandemError('STORE_BUSY', `half message ${id}: its local transaction is still open; wait, or end it`)
  }
  const [fact, todo] =
    answer === 'commit' ? ['has committed', 'decide commit'] : ['has not committed and cannot now', 'decide rollback']
  throw new TandemError('CONFLICT', `half message ${id}: its local transaction ${fact}; ${todo}`)
}

function notFound(id: string): TandemError {
  return new TandemError('NOT_FOUND', `there is no open half message ${id}; look for it with half list or trace`)
}
