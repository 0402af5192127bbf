import { errorText, isTandemError, TandemError } from '../core/errors.ts'
import type { HalfState } from '../core/half-state.ts'
import type { InboxState } from '../core/inbox-state.ts'
import type { HeldState, Overview } from '../spi/admin-store.ts'
import type { Migration, SchemaStatus } from '../spi/store.ts'
import type { AdminService, Services } from './services.ts'
import { instant } from './views.ts'

export interface Problem {
  /** A code of `TandemError`, or `UNEXPECTED`. */
  readonly code: string
  readonly message: string
}

export interface SchemaView {
  readonly service: string
  readonly store: string
  /** Highest version that is applied; 0 for none. */
  readonly version: number
  /** Highest version that this package knows. */
  readonly latest: number
  readonly pending: readonly Migration[]
  /** What differs from the tables that should be there, in words. */
  readonly drift: readonly string[]
}

export interface MigrateView extends SchemaView {
  /** What this call applied; empty if there was nothing to do. */
  readonly applied: readonly { readonly version: number; readonly name: string }[]
}

export interface ServiceStatus {
  readonly service: string
  readonly store: string
  /** Null when the store could not be asked; then `problem` says why. */
  readonly schema: { readonly version: number; readonly latest: number; readonly drift: readonly string[] } | null
  readonly overview: OverviewView | null
  readonly broker: { readonly name: string; readonly ok: boolean; readonly detail: string } | null
  readonly problem: Problem | null
}

export interface OverviewView {
  /** The database's clock. */
  readonly now: string
  readonly outbox: {
    readonly unsent: number
    /** Milliseconds the oldest unsent message has waited. */
    readonly oldestAge: number | null
    readonly held: Readonly<Record<HeldState, number>>
  }
  readonly half: Readonly<Record<HalfState, number>>
  readonly inbox: readonly { readonly group: string; readonly states: Readonly<Record<InboxState, number>> }[]
  readonly blockedKeys: number
  /** Milliseconds the oldest of each kind has been there. */
  readonly oldest: Readonly<Record<keyof Overview['oldest'], number | null>>
  readonly size: {
    readonly bytes: number | null
    readonly tables: readonly { readonly name: string; readonly rows: number; readonly bytes: number | null }[]
  }
  readonly processes: readonly {
    readonly id: string
    readonly host: string
    readonly pid: number
    readonly alive: boolean
    readonly seenAt: string
    readonly leases: readonly string[]
  }[]
}

/** One service's state. A store or broker that does not answer is told, not thrown: the others' state still matters. */
export async function statusOf(services: Services, entry: AdminService): Promise<ServiceStatus> {
  const broker = await brokerStatus(services, entry)
  const base = { service: entry.service, store: entry.store.name, broker }
  let schema: SchemaStatus | undefined
  try {
    const store = await services.storeOfAnySchema(entry, false)
    schema = await store.schema.status()
    await services.store(entry)
    const overview = viewOverview(await store.admin.overview())
    return { ...base, schema: viewVersions(schema), overview, problem: null }
  } catch (error) {
    return {
      ...base,
      schema: schema === undefined ? null : viewVersions(schema),
      overview: null,
      problem: problemOf(error),
    }
  }
}

export async function schemaOf(services: Services, entry: AdminService): Promise<SchemaView> {
  const store = await services.storeOfAnySchema(entry, true)
  return { service: entry.service, store: store.name, ...(await store.schema.status()) }
}

/** @throws TandemError `CONFIG_INVALID` when a migration to this version is not possible */
export async function checkTarget(
  services: Services,
  entry: AdminService,
  { to }: { readonly to?: number | undefined },
): Promise<void> {
  if (to === undefined) return
  const { version, latest } = await schemaOf(services, entry)
  if (Number.isInteger(to) && to >= Math.max(1, version) && to <= latest) return
  const why =
    to < version
      ? `its tables are of version ${version}, and migrations only go forward`
      : `there is no such version, this package knows 1 to ${latest}`
  throw new TandemError('CONFIG_INVALID', `${entry.service} cannot be migrated to ${to}: ${why}. Nothing was changed`)
}

export async function migrate(
  services: Services,
  entry: AdminService,
  options: { readonly to?: number | undefined },
): Promise<MigrateView> {
  const store = await services.storeOfAnySchema(entry, true)
  const applied = await store.schema.migrate(options)
  const status = await schemaOf(services, entry)
  return { ...status, applied: applied.map(({ version, name }) => ({ version, name })) }
}

export function problemOf(error: unknown): Problem {
  return isTandemError(error)
    ? { code: error.code, message: error.message }
    : { code: 'UNEXPECTED', message: errorText(error) }
}

async function brokerStatus(services: Services, entry: AdminService): Promise<ServiceStatus['broker']> {
  if (entry.broker === undefined) return null
  const { name } = entry.broker
  try {
    const broker = await services.broker(entry)
    return { name, ...(await broker!.health()) }
  } catch (error) {
    return { name, ok: false, detail: errorText(error) }
  }
}

function viewVersions({ version, latest, drift }: SchemaStatus): {
  version: number
  latest: number
  drift: readonly string[]
} {
  return { version, latest, drift }
}

function viewOverview(overview: Overview): OverviewView {
  const { outbox, half, inbox, blockedKeys, oldest, size, processes } = overview
  return {
    now: instant(overview.now),
    outbox: { unsent: outbox.unsent, oldestAge: outbox.oldestAge ?? null, held: outbox.held },
    half,
    inbox,
    blockedKeys,
    oldest: {
      retrying: oldest.retrying ?? null,
      half: oldest.half ?? null,
      dead: oldest.dead ?? null,
      finished: oldest.finished ?? null,
    },
    size: {
      bytes: size.bytes ?? null,
      tables: size.tables.map(({ name, rows, bytes }) => ({ name, rows, bytes: bytes ?? null })),
    },
    processes: processes.map(({ id, host, pid, alive, seenAt, leases }) => ({
      id,
      host,
      pid,
      alive,
      seenAt: instant(seenAt),
      leases,
    })),
  }
}
