import { TandemError } from '../core/errors.ts'
import { checkNumber } from '../core/limits.ts'
import type { Page } from '../spi/admin-store.ts'
import type { AdminService } from './services.ts'
import type { PageView } from './views.ts'

export interface PageRequest {
  /** 1 to 1,000; default 50. */
  readonly limit?: number | undefined
  /** `next` of the page before. */
  readonly cursor?: string | undefined
}

interface PageSource<Row> {
  read(entry: AdminService, page: Page): Promise<readonly Row[]>
  /** The instant that the list is ordered by, newest first. */
  at(row: Row): number
}

interface Queue<Row> {
  readonly entry: AdminService
  readonly rows: readonly Row[]
  taken: number
}

/** Where each service's list goes on: after a cursor, from its start (undefined), or nowhere (null). */
type Position = string | null | undefined

/** One page over the lists of several services, each service in its store's own order. */
export async function readPage<Row extends { readonly cursor: string }, View>(
  entries: readonly AdminService[],
  request: PageRequest,
  source: PageSource<Row>,
  view: (service: string, row: Row) => View,
): Promise<PageView<View>> {
  const limit = checkNumber('limit', request.limit, { min: 1, max: 1000, integer: true, default: 50 })
  const positions = readCursor(request.cursor)
  const queues = await Promise.all(
    entries.map(async (entry): Promise<Queue<Row>> => {
      const after: Position = Object.hasOwn(positions, entry.service) ? positions[entry.service] : undefined
      if (after === null) return { entry, rows: [], taken: 0 }
      const rows = await source.read(entry, after === undefined ? { limit } : { limit, after })
      return { entry, rows, taken: 0 }
    }),
  )

  const items: View[] = []
  while (items.length < limit) {
    const queue = newest(queues, source)
    if (queue === undefined) break
    items.push(view(queue.entry.service, queue.rows[queue.taken]!))
    queue.taken += 1
  }

  const next: Record<string, Position> = {}
  let more = false
  for (const { entry, rows, taken } of queues) {
    const ended = taken === rows.length && rows.length < limit
    next[entry.service] = ended ? null : taken === 0 ? positions[entry.service] : rows[taken - 1]!.cursor
    more ||= !ended
  }
  return { items, next: more ? writeCursor(next) : null }
}

/** The queue whose first row is the newest. The stores' own orders are kept, whatever they are. */
function newest<Row>(queues: readonly Queue<Row>[], source: PageSource<Row>): Queue<Row> | undefined {
  let best: Queue<Row> | undefined
  for (const queue of queues) {
    const row = queue.rows[queue.taken]
    if (row === undefined) continue
    const bestRow = best?.rows[best.taken]
    if (bestRow === undefined || source.at(row) > source.at(bestRow)) best = queue
  }
  return best
}

function writeCursor(positions: Readonly<Record<string, Position>>): string {
  return Buffer.from(JSON.stringify(positions)).toString('base64url')
}

function readCursor(cursor: string | undefined): Readonly<Record<string, Position>> {
  if (cursor === undefined) return {}
  try {
    const positions: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (typeof positions === 'object' && positions !== null && Object.values(positions).every(isPosition)) {
      return positions as Record<string, Position>
    }
  } catch {
    // Said below.
  }
  throw new TandemError('CONFIG_INVALID', 'the cursor is none that a list gave out; begin again without one')
}

function isPosition(value: unknown): boolean {
  return typeof value === 'string' || value === null
}
