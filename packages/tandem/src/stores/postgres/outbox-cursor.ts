/**
 * Where the relay's next look at the outbox begins, so that it neither skips a row nor steps over those that are deleted and cannot be
 * vacuumed yet. Pure.
 *
 * A row with a lower position may become visible after rows with higher ones were published, so "above what I have seen" would lose it.
 * What is used instead: a transaction gets its id before it gets positions (the column's default sees to it). So when a round has removed
 * everything up to position P in a transaction with id X, each transaction with an id from X on has positions above P. What may come below
 * P is of transactions with lower ids that were open when the round was read, and a snapshot names them. Each of those that is older than
 * the round before is kept with the position above which its rows are; the others have theirs above the P of the round before.
 *
 * So every look sees every row that is visible, as a scan from the beginning would, and costs as much as the last two rounds, whatever
 * else is open; only the end of a transaction that was open for long makes one look go back to where that one began.
 */
export interface Start {
  /** Rows above this position are looked at … */
  readonly position: number
  /** … and above the lowest of these whose transaction has ended. */
  readonly late: readonly LateTransaction[]
}

export interface LateTransaction {
  readonly xid: number
  /** Its rows have higher positions. */
  readonly position: number
}

/** All rows that were visible up to `position` were removed by a transaction with the id `xid`, or an earlier one. */
interface Mark {
  readonly position: number
  readonly xid: number
}

interface Round {
  readonly openTransactions: readonly number[]
  readonly highest: number
  /** What was read and is still there. */
  readonly left: Set<number>
  xid: number | undefined
}

const BEGINNING: Mark = { position: 0, xid: 0 }

/**
 * Milliseconds between looks from the very beginning: the safety net if the database is another one than it was, restored or failed over,
 * so that positions and ids have gone back. Never more than a fiftieth of the time.
 */
const WHOLE_EVERY = 30_000
const WHOLE_SHARE = 50

export class OutboxCursor {
  readonly #clock: () => number
  #owner = ''
  #mark = BEGINNING
  #markBefore = BEGINNING
  #late: readonly LateTransaction[] = []
  #round: Round | undefined
  #rounds = 0
  #wholeAt = 0
  #beganWhole: number | undefined
  #sawNothing = false

  /** @param clock milliseconds that never go backwards */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  /**
   * Where the next look begins.
   *
   * @param owner names the leases under which the rows are read; with others everything begins anew
   */
  begin(owner: string): Start {
    if (owner !== this.#owner) this.reset(owner)
    this.#finish()
    const now = this.#clock()
    this.#beganWhole = now >= this.#wholeAt ? now : undefined
    return this.#beganWhole === undefined ? this.#start() : { position: 0, late: [] }
  }

  /**
   * Takes what a look has found: the snapshot that it had, and the positions of the rows but for those that came back to old places.
   *
   * @param isAll whether there was nothing more to find
   * @returns false if this cannot be the database that it was: the look does not count, and the next one begins at the beginning
   */
  found(snapshot: string, positions: readonly number[], isAll: boolean): boolean {
    const { nextXid, openTransactions } = readSnapshot(snapshot)
    const began = this.#beganWhole
    if (began !== undefined) {
      const now = this.#clock()
      this.#wholeAt = now + Math.max(WHOLE_EVERY, WHOLE_SHARE * (now - began))
    }
    const { position } = this.#start()
    const lowest = Math.min(...positions)
    const isEarlier = this.#mark.xid >= nextXid
    // A row that no usual look would have found, and that no transaction which was open explains.
    const isUnexplained = began !== undefined && lowest <= position && !this.#explains(lowest, openTransactions)
    if (isEarlier || isUnexplained) {
      this.reset(this.#owner)
      if (began === undefined) return false
    }
    this.#sawNothing = positions.length === 0 && isAll
    if (this.#sawNothing) {
      const open = new Set(openTransactions)
      this.#late = this.#late.filter(({ xid }) => open.has(xid))
    }
    this.#round = { openTransactions, highest: Math.max(...positions), left: new Set(positions), xid: undefined }
    return true
  }

  /** Takes note that rows were removed, under the leases `owner`, by a transaction with the id `xid` that has been committed. */
  gone(owner: string, positions: Iterable<number>, xid: number): void {
    const round = this.#round
    if (round === undefined || owner !== this.#owner) return
    for (const position of positions) round.left.delete(position)
    round.xid = xid
  }

  /** Whether so little is known that each look begins at the beginning although nothing is there. */
  get isLost(): boolean {
    return this.#rounds < 2 && this.#sawNothing
  }

  /**
   * Takes note, after a look that has found nothing, of the highest position that has been given away, and then of a transaction's id that
   * was given later.
   */
  empty(position: number, xid: number): void {
    if (!this.isLost || this.#round === undefined) return
    this.#round = { ...this.#round, highest: position, xid }
  }

  /** Begins at the beginning. */
  reset(owner: string = this.#owner): void {
    this.#owner = owner
    this.#mark = BEGINNING
    this.#markBefore = BEGINNING
    this.#late = []
    this.#round = undefined
    this.#rounds = 0
    this.#sawNothing = false
    this.#wholeAt = this.#clock() + WHOLE_EVERY
  }

  #start(): Start {
    return { position: Math.min(this.#mark.position, this.#markBefore.position), late: this.#late }
  }

  /** Goes on to the last round, if all that it has read is gone. */
  #finish(): void {
    const round = this.#round
    if (round?.xid === undefined || round.left.size > 0 || round.highest === Number.NEGATIVE_INFINITY) return
    const before = new Map(this.#late.map(({ xid, position }) => [xid, position]))
    this.#late = round.openTransactions.flatMap((xid) => {
      // It began after the last mark, so that its rows are above it.
      if (xid >= this.#mark.xid) return []
      const sinceBefore = xid >= this.#markBefore.xid ? this.#markBefore.position : 0
      return [{ xid, position: before.get(xid) ?? sinceBefore }]
    })
    this.#markBefore = this.#mark
    this.#mark = { position: round.highest, xid: round.xid }
    this.#rounds += 1
    this.#round = undefined
  }

  /** Whether a row at this position may be of a transaction that was late and has ended. */
  #explains(position: number, openTransactions: readonly number[]): boolean {
    const open = new Set(openTransactions)
    return this.#late.some((one) => one.position < position && !open.has(one.xid))
  }
}

/** `xmin:xmax:xip,xip,…`: the lowest id that is open, the lowest that was not given or not ended, and those between that are open. */
function readSnapshot(text: string): { readonly nextXid: number; readonly openTransactions: readonly number[] } {
  const [, nextXid = '', open = ''] = text.split(':')
  return { nextXid: Number(nextXid), openTransactions: open === '' ? [] : open.split(',').map(Number) }
}
