import { TandemError } from '../core/errors.ts'
import type { DeadReason } from '../core/inbox-state.ts'
import { checkOptions } from '../core/limits.ts'
import type { DeadLetterFilter, DeadLetterRow } from '../spi/admin-store.ts'
import type { AdminService, Services } from './services.ts'
import { viewDeadLetter, type DeadLetterGroupView, type DeadLetterView } from './views.ts'

/** One dead letter. `service` may be left out where one service alone has it. */
export interface DeadLetterRef {
  readonly service?: string | undefined
  readonly group: string
  readonly id: string
}

/** A dead letter whose service is known. */
export interface SettledRef {
  readonly service: string
  readonly group: string
  readonly id: string
}

/** What is left out matches everything. */
export interface DeadLetterSearch {
  readonly service?: string | undefined
  readonly group?: string | undefined
  readonly type?: string | undefined
  readonly topic?: string | undefined
  readonly key?: string | undefined
  readonly reason?: DeadReason | undefined
  /** Part of the last error. */
  readonly error?: string | undefined
}

/** The dead letters that an act is for. */
export type Selection =
  /** These, as they were listed. */
  | { readonly refs: readonly DeadLetterRef[] }
  /** Those that match. A filter that matches everything needs `all: true`. */
  | { readonly filter: DeadLetterSearch; readonly all?: boolean | undefined }
  /** Those that one row of `deadLetters.groups` stands for. */
  | { readonly row: DeadLetterGroupView }

const FILTERS = ['group', 'type', 'topic', 'key', 'reason', 'error'] as const
const PAGE = 500

// A record, so that a reason that is added later cannot be forgotten here.
const reasons: Readonly<Record<DeadReason, true>> = {
  'attempts-exhausted': true,
  'not-retryable': true,
  'payload-invalid': true,
  undecodable: true,
  'type-unknown': true,
}

export const DEAD_REASONS: readonly DeadReason[] = Object.keys(reasons) as DeadReason[]

/**
 * The store's filter for a search, checked: a misspelt or empty condition must not widen what an act is for.
 *
 * @throws TandemError `OPTION_UNKNOWN`, `CONFIG_INVALID`
 */
export function readSearch(search: DeadLetterSearch): DeadLetterFilter {
  checkOptions('filter', search, ['service', ...FILTERS])
  const filter: Record<string, string> = {}
  for (const name of FILTERS) {
    const value = search[name]
    if (value === undefined) continue
    if (typeof value !== 'string' || value === '') {
      throw new TandemError('CONFIG_INVALID', `filter: ${name} must be a text that is not empty, or be left out`)
    }
    filter[name] = value
  }
  if (search.reason !== undefined && !DEAD_REASONS.includes(search.reason)) {
    throw new TandemError('CONFIG_INVALID', `filter: reason must be one of ${DEAD_REASONS.join(', ')}`)
  }
  return filter
}

/**
 * The dead letters that a selection means at this moment, each once, the oldest message first. Acting on this list and on no other is
 * what keeps an act to what was shown.
 */
export async function resolveSelection(services: Services, selection: Selection): Promise<readonly DeadLetterView[]> {
  checkOptions('selection', selection, ['refs', 'filter', 'all', 'row'])
  if ('refs' in selection) return (await Promise.all(selection.refs.map((ref) => find(services, ref)))).flat()
  const { search, matches } = conditionsOf(selection)
  const filter = readSearch(search)
  const found = new Map<string, DeadLetterView>()
  for (const entry of services.pick(search.service)) {
    for (const row of await allRows(services, entry, filter)) {
      if (!matches(row)) continue
      const view = viewDeadLetter(entry.service, row)
      found.set(JSON.stringify([view.service, view.group, view.id]), view)
    }
  }
  return [...found.values()].toSorted((a, b) => compare(a.sentAt, b.sentAt) || compare(a.id, b.id))
}

function conditionsOf(selection: Exclude<Selection, { refs: unknown }>): {
  search: DeadLetterSearch
  matches: (row: DeadLetterRow) => boolean
} {
  if ('row' in selection) {
    const { service, group, type, error } = selection.row
    // The store's filter takes a part of an error; the row stands for the whole first line.
    const matches = (row: DeadLetterRow): boolean => firstLine(row.error) === error
    return { search: { service, group, type, ...(error === '' ? {} : { error }) }, matches }
  }
  const { filter, all = false } = selection
  if (all !== true && !FILTERS.some((name) => filter[name] !== undefined)) {
    throw new TandemError(
      'CONFIG_INVALID',
      'the filter is empty and would take every dead letter; give a condition, or all: true',
    )
  }
  return { search: filter, matches: () => true }
}

async function allRows(services: Services, entry: AdminService, filter: DeadLetterFilter): Promise<DeadLetterRow[]> {
  const store = await services.store(entry)
  const rows: DeadLetterRow[] = []
  for (;;) {
    const last = rows.at(-1)
    const page = await store.admin.deadLetters(filter, {
      limit: PAGE,
      ...(last === undefined ? {} : { after: last.cursor }),
    })
    rows.push(...page)
    if (page.length < PAGE) return rows
  }
}

/** The row of a dead letter; none if it is not dead. */
async function find(services: Services, ref: DeadLetterRef): Promise<readonly DeadLetterView[]> {
  const entry = await serviceOf(services, ref)
  const row = await (await services.store(entry)).admin.deadLetter(ref)
  return row === undefined ? [] : [viewDeadLetter(entry.service, row)]
}

/** The service that has the message in this group. */
export async function serviceOf(services: Services, ref: DeadLetterRef): Promise<AdminService> {
  const entries = services.pick(ref.service)
  if (entries.length === 1) return entries[0]!
  const holders: AdminService[] = []
  for (const entry of entries) {
    const state = await (await services.store(entry)).inbox.state(ref.group, ref.id)
    if (state !== undefined) holders.push(entry)
  }
  if (holders.length === 1) return holders[0]!
  const [code, why] =
    holders.length === 0
      ? (['NOT_FOUND', 'no service has it'] as const)
      : (['CONFLICT', `${holders.map((entry) => entry.service).join(' and ')} have it; name the service`] as const)
  throw new TandemError(code, `message ${ref.id} in group ${ref.group}: ${why}`)
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
