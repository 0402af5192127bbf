// The relay's cursor on PostgreSQL against a model of what a database shows: it finds what a scan from the beginning finds.
import { describe, expect, it } from 'vitest'
import { seeded } from '../../../src/conformance/store-kit.ts'
import { OutboxCursor } from '../../../src/stores/postgres/outbox-cursor.ts'

const OWNER = 'relay/0 1'

interface Transaction {
  xid: number | undefined
  readonly positions: number[]
}

/** Transaction ids, snapshots and rows, as PostgreSQL gives them. */
class Database {
  nextXid = 700
  nextPosition = 1
  #latestEnded = 699
  readonly running = new Set<Transaction>()
  /** Committed rows, in ascending order when read. */
  readonly rows = new Set<number>()

  begin(): Transaction {
    const transaction: Transaction = { xid: undefined, positions: [] }
    this.running.add(transaction)
    return transaction
  }

  /** Any write: gives the transaction its id. */
  write(transaction: Transaction): number {
    transaction.xid ??= this.nextXid++
    return transaction.xid
  }

  insert(transaction: Transaction): void {
    this.write(transaction)
    transaction.positions.push(this.nextPosition++)
  }

  end(transaction: Transaction, commit: boolean): void {
    this.running.delete(transaction)
    if (transaction.xid !== undefined) this.#latestEnded = Math.max(this.#latestEnded, transaction.xid)
    if (commit) for (const position of transaction.positions) this.rows.add(position)
  }

  /** Deletes rows in a transaction of its own, and says its id. */
  remove(positions: readonly number[]): number {
    const transaction = this.begin()
    const xid = this.write(transaction)
    for (const position of positions) this.rows.delete(position)
    this.end(transaction, true)
    return xid
  }

  snapshot(): string {
    const above = this.#latestEnded + 1
    const open = [...this.running]
      .flatMap(({ xid }) => (xid !== undefined && xid < above ? [xid] : []))
      .toSorted(byValue)
    return `${open[0] ?? above}:${above}:${open.join(',')}`
  }

  isVisible(xid: number): boolean {
    return xid <= this.#latestEnded && ![...this.running].some((one) => one.xid === xid)
  }

  /** All visible rows, the oldest first. */
  all(): number[] {
    return [...this.rows].toSorted(byValue)
  }
}

const byValue = (a: number, b: number): number => a - b

/** The lowest position, less one, that a look begins at. */
function startOf(database: Database, cursor: OutboxCursor, owner = OWNER): number {
  const { position, late } = cursor.begin(owner)
  return Math.min(position, ...late.filter(({ xid }) => database.isVisible(xid)).map((one) => one.position))
}

/** A look as the store makes it. */
function look(database: Database, cursor: OutboxCursor, limit: number, owner = OWNER): readonly number[] {
  for (;;) {
    const start = startOf(database, cursor, owner)
    const found = database
      .all()
      .filter((position) => position > start)
      .slice(0, limit)
    if (!cursor.found(database.snapshot(), found, found.length < limit)) continue
    if (cursor.isLost) {
      const end = database.nextPosition - 1
      cursor.empty(end, database.remove([]))
    }
    return found
  }
}

function publish(database: Database, cursor: OutboxCursor, found: readonly number[], owner = OWNER): void {
  if (found.length > 0) cursor.gone(owner, found, database.remove(found))
}

describe('finds what a scan from the beginning finds', () => {
  it.each(Array.from({ length: 200 }, (_, seed) => seed))('whatever happens (seed %i)', (seed) => {
    const random = seeded(seed)
    const below = (limit: number): number => Math.floor(random() * limit)
    const database = new Database()
    const cursor = new OutboxCursor(() => 0)
    // Some worlds have transactions that are open for ever and a broker that fails, others have neither.
    const [longest, failures, limit] = [random() * 0.3, random() * 0.4, 1 + below(20)]
    let owner = OWNER
    for (let step = 0; step < 400; step++) {
      const dice = random()
      const open = [...database.running]
      const one = open[below(open.length)]
      if (dice < 0.15) database.begin()
      else if (dice < 0.25 && one !== undefined) database.write(one)
      else if (dice < 0.55 && one !== undefined) database.insert(one)
      else if (dice < 0.75 && one !== undefined && random() > longest) database.end(one, random() < 0.9)
      else if (dice > 0.995) owner = `${OWNER}${step}`
      else if (dice > 0.75) {
        const expected = database.all().slice(0, limit)
        const found = look(database, cursor, limit, owner)
        expect(found).toEqual(expected)
        // What the broker did not take stays; a part may go in a transaction of its own.
        if (random() >= failures) publish(database, cursor, found, owner)
        else for (const position of found) if (random() < 0.5) publish(database, cursor, [position], owner)
      }
    }
    for (const one of database.running) database.end(one, true)
    const end = database.all()
    for (let round = 0; round < 10_000 && database.rows.size > 0; round++) {
      publish(database, cursor, look(database, cursor, limit, owner), owner)
    }
    expect([database.rows.size, end.length >= 0]).toEqual([0, true])
  })
})

describe('steps over no more than the last rounds', () => {
  function send(database: Database, count: number): void {
    const transaction = database.begin()
    for (let i = 0; i < count; i++) database.insert(transaction)
    database.end(transaction, true)
  }

  function rounds(database: Database, cursor: OutboxCursor, count: number): void {
    for (let round = 0; round < count; round++) {
      send(database, 10)
      publish(database, cursor, look(database, cursor, 100))
    }
  }

  it('also while a transaction that has written is open, until it ends', () => {
    const database = new Database()
    const cursor = new OutboxCursor(() => 0)
    rounds(database, cursor, 5)
    const long = database.begin()
    database.insert(long)
    rounds(database, cursor, 100)
    expect(startOf(database, cursor)).toBe(database.nextPosition - 1 - 10)
    database.end(long, true)
    expect(startOf(database, cursor)).toBeLessThan(long.positions[0]!)
    publish(database, cursor, look(database, cursor, 100))
    rounds(database, cursor, 2)
    expect(startOf(database, cursor)).toBe(database.nextPosition - 1 - 10)
  })

  it('a long transaction that has sent nothing costs one look, also when nothing else happens', () => {
    const database = new Database()
    const cursor = new OutboxCursor(() => 0)
    rounds(database, cursor, 5)
    const long = database.begin()
    database.write(long)
    rounds(database, cursor, 100)
    database.end(long, false)
    expect(startOf(database, cursor)).toBeLessThan(60)
    expect(look(database, cursor, 100)).toEqual([])
    expect(startOf(database, cursor)).toBe(database.nextPosition - 1 - 10)
  })

  it('when it begins and nothing is there, two looks from the beginning are enough', () => {
    const database = new Database()
    send(database, 1000)
    database.remove(database.all())
    const cursor = new OutboxCursor(() => 0)
    for (let round = 0; round < 3; round++) expect(look(database, cursor, 100)).toEqual([])
    expect(startOf(database, cursor)).toBe(1000)
    send(database, 1)
    expect(look(database, cursor, 100)).toEqual([1001])
  })

  it('begins anew under other leases', () => {
    const database = new Database()
    const cursor = new OutboxCursor(() => 0)
    rounds(database, cursor, 5)
    expect(startOf(database, cursor, 'relay/0 2')).toBe(0)
  })

  it('takes nothing for gone that was removed under other leases', () => {
    const database = new Database()
    const cursor = new OutboxCursor(() => 0)
    rounds(database, cursor, 5)
    send(database, 10)
    const found = look(database, cursor, 100)
    for (let round = 0; round < 3; round++) {
      cursor.gone('relay/0 7', found, database.remove([]))
      expect(look(database, cursor, 100)).toEqual(found)
    }
  })

  it('goes back for a transaction that was late until nothing can be left of it', () => {
    const database = new Database()
    const cursor = new OutboxCursor(() => 0)
    rounds(database, cursor, 5)
    const long = database.begin()
    database.insert(long)
    rounds(database, cursor, 5)
    database.end(long, true)
    // There were only rows that had come back, as many as were asked for.
    startOf(database, cursor)
    cursor.found(database.snapshot(), [], false)
    expect(look(database, cursor, 100)).toEqual(long.positions)
  })
})

describe('a database whose positions and ids have gone back', () => {
  /** After a failover, or from a backup: what was done last never was. */
  function restored(xids: number, positions: number): Database {
    const database = new Database()
    database.nextXid = 700 + xids
    database.nextPosition = 1 + positions
    database.end({ xid: 699 + xids, positions: [] }, true)
    return database
  }

  function used(clock: () => number): OutboxCursor {
    const database = new Database()
    const cursor = new OutboxCursor(clock)
    for (let round = 0; round < 50; round++) {
      const transaction = database.begin()
      for (let i = 0; i < 10; i++) database.insert(transaction)
      database.end(transaction, true)
      publish(database, cursor, look(database, cursor, 100))
    }
    return cursor
  }

  it('is noticed at once by its ids', () => {
    const cursor = used(() => 0)
    const database = restored(50, 300)
    const transaction = database.begin()
    database.insert(transaction)
    database.end(transaction, true)
    expect(look(database, cursor, 100)).toEqual([301])
  })

  it('is noticed by a look from the beginning when its ids are later again', () => {
    let now = 0
    const cursor = used(() => now)
    const database = restored(5000, 300)
    const transaction = database.begin()
    database.insert(transaction)
    database.end(transaction, true)
    expect(look(database, cursor, 100)).toEqual([])
    now = 30_000
    expect(look(database, cursor, 100)).toEqual([301])
    // And from then on at once.
    const next = database.begin()
    database.insert(next)
    database.end(next, true)
    expect(look(database, cursor, 100)).toEqual([301, 302])
  })

  it('a look from the beginning takes no more than a fiftieth of the time', () => {
    let now = 0
    const cursor = used(() => now)
    const whole = (): boolean => cursor.begin(OWNER).position === 0
    const database = restored(5000, 1000)
    now = 30_000
    expect(whole()).toBe(true)
    now += 2000
    cursor.found(database.snapshot(), [], true)
    now += 99_999
    expect(whole()).toBe(false)
    now += 1
    expect(whole()).toBe(true)
  })
})
