import type { Clock } from '../core/clock.ts'
import { crashPoint } from '../core/crash-points.ts'
import { TandemError } from '../core/errors.ts'
import type { InboxState } from '../core/inbox-state.ts'
import { redactText } from '../core/redact.ts'
import type { Act, AttemptRow } from '../spi/admin-store.ts'
import { actOnEach, checkAct, type ActOptions, type Stopped } from './acts.ts'
import { readPage, type PageRequest } from './pages.ts'
import { decodePayload, editPayload, sensitivePaths, viewPayload } from './payload.ts'
import {
  readSearch,
  resolveSelection,
  serviceOf,
  type DeadLetterRef,
  type DeadLetterSearch,
  type Selection,
  type SettledRef,
} from './selection.ts'
import type { AdminService, Services } from './services.ts'
import {
  instant,
  viewDeadLetter,
  viewDeadLetterGroup,
  type AttemptView,
  type DeadLetterDetailView,
  type DeadLetterGroupView,
  type DeadLetterView,
  type PageView,
} from './views.ts'

export type DeadLetterOutcome =
  /** Set to be handled again, by this call. */
  | 'replayed'
  /** Given up, by this call. */
  | 'discarded'
  /** What a dry run says of one that is dead. */
  | 'would-replay'
  | 'would-discard'
  /** It is known, and not dead (any more): `state` says what it is. */
  | 'not-dead'
  | 'not-found'
  /** The work ended before it; see `stopped`. */
  | 'not-tried'

export interface DeadLetterResult extends SettledRef {
  readonly outcome: DeadLetterOutcome
  /** For `not-dead`. */
  readonly state: InboxState | null
}

/** Where a message is in a consumer group. */
export interface InboxPlace extends SettledRef {
  readonly state: InboxState
}

export interface DeadLetterReport {
  readonly action: 'replay' | 'discard'
  readonly dryRun: boolean
  /** One for each message of the frozen selection, in the order in which they were acted on. */
  readonly results: readonly DeadLetterResult[]
  /** Why the work ended early; null if it did not. */
  readonly stopped: Stopped | null
}

export interface DeadLetters {
  /** Newest first. */
  list(filter?: DeadLetterSearch, page?: PageRequest): Promise<PageView<DeadLetterView>>
  /** By group, type and the first line of the last error; the largest first. */
  groups(filter?: DeadLetterSearch): Promise<readonly DeadLetterGroupView[]>
  /** The groups that know a message, and what it is in each; for those who have only its id. */
  find(id: string, where?: { readonly service?: string | undefined }): Promise<readonly InboxPlace[]>
  /** @throws TandemError `NOT_FOUND` when it is not dead */
  show(ref: DeadLetterRef): Promise<DeadLetterDetailView>
  /**
   * Replaces the payload. The original is kept. A `•••` in the place of a sensitive value leaves that value as it is.
   *
   * @param payload the new payload, as JSON text
   * @throws TandemError `NOT_FOUND`, `PAYLOAD_INVALID`, `PAYLOAD_UNSERIALIZABLE`, `MESSAGE_TOO_LARGE`, `CONFLICT`
   */
  edit(ref: DeadLetterRef, payload: string, act: Act): Promise<DeadLetterDetailView>
  /** The dead letters that a selection means now. To show what an act would be for, pass these as its `refs`. */
  resolve(selection: Selection): Promise<readonly DeadLetterView[]>
  /** Sets dead letters to be handled again, each with its id, key and place. */
  replay(selection: Selection, act: Act, options?: ActOptions<DeadLetterResult>): Promise<DeadLetterReport>
  /** Gives dead letters up. */
  discard(selection: Selection, act: Act, options?: ActOptions<DeadLetterResult>): Promise<DeadLetterReport>
}

export function deadLetters(services: Services, clock: Clock): DeadLetters {
  const load = async (ref: DeadLetterRef): Promise<{ entry: AdminService; detail: DeadLetterDetailView }> => {
    const entry = await serviceOf(services, ref)
    const row = await (await services.store(entry)).admin.deadLetter(ref)
    if (row === undefined) throw await notDead(services, entry, ref)
    const { headers, body, originalBody } = row
    const paths = sensitivePaths(headers)
    // The consumer has redacted the errors already; but a handler could not, where a schema or codec failed before it.
    const bodies = [body, ...(originalBody === undefined ? [] : [originalBody])]
    const payloads = bodies.map((bytes) => decodePayload(headers, bytes))
    const clean = (text: string): string => payloads.reduce<string>((t, p) => redactText(t, p, paths), text)
    const detail = {
      ...viewDeadLetter(entry.service, row),
      error: clean(row.error),
      headers,
      payload: viewPayload(headers, body),
      originalPayload: originalBody === undefined ? null : viewPayload(headers, originalBody),
      history: row.history.map((attempt) => viewAttempt(attempt, clean)),
    }
    return { entry, detail }
  }

  const act = async (
    action: 'replay' | 'discard',
    selection: Selection,
    by: Act,
    options: ActOptions<DeadLetterResult> = {},
  ): Promise<DeadLetterReport> => {
    const who = checkAct(by)
    const dryRun = options.dryRun ?? false
    const refs = await freeze(services, selection)
    const work = (ref: SettledRef): Promise<DeadLetterResult> => actOnOne(services, action, ref, who, dryRun)
    const untried = (ref: SettledRef): DeadLetterResult => ({ ...ref, outcome: 'not-tried', state: null })
    return { action, dryRun, ...(await actOnEach(refs, options, clock, work, untried)) }
  }

  return {
    async list(search = {}, page = {}) {
      const filter = readSearch(search)
      const source = {
        read: async (entry: AdminService, at: { limit: number; after?: string }) =>
          (await services.store(entry)).admin.deadLetters(filter, at),
        at: (row: { diedAt: number }) => row.diedAt,
      }
      return readPage(services.pick(search.service), page, source, viewDeadLetter)
    },
    async groups(search = {}) {
      const filter = readSearch(search)
      const rows = await Promise.all(
        services.pick(search.service).map(async (entry) => {
          const groups = await (await services.store(entry)).admin.deadLetterGroups(filter)
          return groups.map((row) => viewDeadLetterGroup(entry.service, row))
        }),
      )
      return rows.flat().toSorted((a, b) => b.count - a.count)
    },
    async find(id, where = {}) {
      const places = await Promise.all(
        services.pick(where.service).map(async (entry) => {
          const rows = await (await services.store(entry)).admin.trace(id)
          return rows.flatMap((row): InboxPlace[] =>
            row.id === id && row.place.kind === 'inbox'
              ? [{ service: entry.service, group: row.place.group, id, state: row.place.state }]
              : [],
          )
        }),
      )
      return places.flat()
    },
    show: async (ref) => (await load(ref)).detail,
    async edit(ref, payload, by) {
      const who = checkAct(by)
      const entry = await serviceOf(services, ref)
      const store = await services.store(entry)
      const row = await store.admin.deadLetter(ref)
      if (row === undefined) throw await notDead(services, entry, ref)
      const body = editPayload(row.headers, row.body, payload)
      if (!(await store.admin.editDeadLetter(ref, body, who))) throw await notDead(services, entry, ref)
      return (await load({ ...ref, service: entry.service })).detail
    },
    resolve: (selection) => resolveSelection(services, selection),
    replay: (selection, by, options) => act('replay', selection, by, options),
    discard: (selection, by, options) => act('discard', selection, by, options),
  }
}

/** The refs that a selection means, in the order in which they are acted on. Refs stay as given: each gets its answer. */
async function freeze(services: Services, selection: Selection): Promise<readonly SettledRef[]> {
  if (!('refs' in selection)) {
    const rows = await resolveSelection(services, selection)
    return rows.map(({ service, group, id }) => ({ service, group, id }))
  }
  const settled = new Map<string, SettledRef>()
  for (const ref of selection.refs) {
    const { service } = ref.service === undefined ? await serviceOf(services, ref) : services.pick(ref.service)[0]!
    settled.set(JSON.stringify([service, ref.group, ref.id]), { service, group: ref.group, id: ref.id })
  }
  return [...settled.values()]
}

async function actOnOne(
  services: Services,
  action: 'replay' | 'discard',
  ref: SettledRef,
  act: Act,
  dryRun: boolean,
): Promise<DeadLetterResult> {
  const store = await services.store(services.pick(ref.service)[0]!)
  if (dryRun) {
    const now = await store.inbox.state(ref.group, ref.id)
    if (now === 'dead') return { ...ref, outcome: `would-${action}`, state: null }
    return notDone(ref, now)
  }
  const done =
    action === 'replay' ? await store.admin.replayDeadLetter(ref, act) : await store.admin.discardDeadLetter(ref, act)
  if (!done) return notDone(ref, await store.inbox.state(ref.group, ref.id))
  if (action === 'replay') crashPoint('replay.requested')
  return { ...ref, outcome: action === 'replay' ? 'replayed' : 'discarded', state: null }
}

function notDone(ref: SettledRef, state: InboxState | undefined): DeadLetterResult {
  return { ...ref, outcome: state === undefined ? 'not-found' : 'not-dead', state: state ?? null }
}

async function notDead(services: Services, entry: AdminService, ref: DeadLetterRef): Promise<TandemError> {
  const state = await (await services.store(entry)).inbox.state(ref.group, ref.id)
  const what = `message ${ref.id} in group ${ref.group} of service ${entry.service}`
  return state === undefined
    ? new TandemError('NOT_FOUND', `${what} is not known; look for it with trace`)
    : new TandemError('NOT_FOUND', `${what} is ${state}, not dead; there is nothing to do`)
}

function viewAttempt(row: AttemptRow, clean: (text: string) => string): AttemptView {
  return {
    attempt: row.attempt,
    at: instant(row.at),
    error: clean(row.error),
    stack: clean(row.stack),
    process: row.process,
  }
}
