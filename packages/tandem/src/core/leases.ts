/**
 * Who holds which lease, as a pure function over the rows of the lease table. A store runs it inside one transaction, with the rows
 * locked and the database's clock.
 */
export interface LeaseRow {
  readonly name: string
  readonly owner: string | undefined
  /** Grows with every change of owner. A write that carries an older token changes nothing (fencing). */
  readonly token: number
  /** Milliseconds since the epoch, by the database's clock. */
  readonly expiresAt: number
}

export interface LeaseWish {
  /** Names that belong together and are shared out evenly among the processes that want them. */
  readonly names: readonly string[]
  /** How many live processes want this group of names, this one included. */
  readonly contenders: number
}

export interface LeasePlan {
  readonly take: readonly string[]
  readonly renew: readonly string[]
  readonly release: readonly string[]
}

/** The leases that `owner` should take, renew and give up now. */
export function planLeases(rows: readonly LeaseRow[], owner: string, wish: LeaseWish, now: number): LeasePlan {
  const byName = new Map(rows.map((row) => [row.name, row]))
  const share = fairShare(byName, owner, wish, now)
  const mine = wish.names.filter((name) => isHeldBy(byName.get(name), owner, now))
  const renew = mine.slice(0, share)
  const release = mine.slice(share)
  const free = wish.names.filter((name) => isFree(byName.get(name), now))
  const take = free.slice(0, Math.max(0, share - renew.length))
  return { take, renew, release }
}

/** Where the names do not divide evenly, one more than the others while so many have not yet taken one more that it comes out. */
function fairShare(rows: ReadonlyMap<string, LeaseRow>, owner: string, wish: LeaseWish, now: number): number {
  const contenders = Math.max(1, wish.contenders)
  const least = Math.floor(wish.names.length / contenders)
  const held = new Map<string, number>()
  for (const name of wish.names) {
    const row = rows.get(name)
    if (row?.owner === undefined || row.owner === owner || row.expiresAt <= now) continue
    held.set(row.owner, (held.get(row.owner) ?? 0) + 1)
  }
  const withMore = [...held.values()].filter((count) => count > least).length
  return withMore < wish.names.length % contenders ? least + 1 : least
}

function isHeldBy(row: LeaseRow | undefined, owner: string, now: number): boolean {
  return row !== undefined && row.owner === owner && row.expiresAt > now
}

function isFree(row: LeaseRow | undefined, now: number): boolean {
  return row === undefined || row.owner === undefined || row.expiresAt <= now
}
