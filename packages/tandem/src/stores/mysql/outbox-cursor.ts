/**
 * Where the relay's next look at the outbox begins, so that it neither skips a row nor steps over those that are deleted and cannot be purged
 * yet, because some snapshot is older. Pure.
 *
 * A row with a lower position may become visible after rows with higher ones were published, so "above what I have seen" would lose it.
 * What is used instead: from time to time the relay looks with READ UNCOMMITTED, which shows what others have written and not committed.
 * Whatever is there at or below a position `low` is put on a list (usually nothing, or a few rows of long transactions), and from then on the
 * looks begin above `low`, and at those on the list.
 *
 * What is not there yet, though its position was given away, is in the middle of its INSERT. So `low` is a position that was seen a while
 * ago: `SETTLED` milliseconds in which the server answered. For what takes longer than that between two steps of one INSERT, and for a
 * database that is another one than it was (restored, failed over: positions have gone back), there is a look from the very beginning now
 * and then.
 */
export interface Start {
  /** Rows above this position are looked at … */
  readonly low: number
  /** … and those at these, which are not above it. */
  readonly listed: readonly number[]
}

/** Milliseconds after which whoever was given a position has written its row. */
const SETTLED = 3000

/** Between two looks at most so much counts as time in which the server answered. */
const COUNTED = 500

/** Positions that are worth a look at what is not committed. */
const STEP = 2000

/** The longest list. */
export const MOST_LISTED = 1000

/** Milliseconds between looks from the very beginning. Never more than a fiftieth of the time. */
const WHOLE_EVERY = 30_000
const WHOLE_SHARE = 50

interface Mark {
  readonly position: number
  readonly at: number
}

const BEGINNING: Start = { low: 0, listed: [] }

export class OutboxCursor {
  readonly #clock: () => number
  #owner = ''
  #start = BEGINNING
  /** What the last look has found and nobody has removed yet. */
  #left = new Set<number>()
  /** Rows removed since a look at what is not committed was in vain; undefined if the last one was not. */
  #removed: number | undefined
  /** The highest positions that were seen, oldest first. */
  #marks: Mark[] = []
  /** Milliseconds in which the server answered, and when that was last counted. */
  #answered = 0
  #countedAt = 0
  #wholeAt = 0
  #beganWhole: number | undefined

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
    const now = this.#clock()
    this.#beganWhole = now >= this.#wholeAt ? now : undefined
    return this.#beganWhole === undefined ? this.#start : BEGINNING
  }

  /** Takes note of the positions that a look has found. */
  found(positions: readonly number[]): void {
    const now = this.#clock()
    this.#answered += Math.min(COUNTED, now - this.#countedAt)
    this.#countedAt = now
    if (this.#beganWhole !== undefined) {
      this.#wholeAt = now + Math.max(WHOLE_EVERY, WHOLE_SHARE * (now - this.#beganWhole))
    }
    this.#left = new Set(positions)
    const highest = Math.max(...positions)
    const last = this.#marks.at(-1)
    if (highest > (last?.position ?? 0) && this.#answered - (last?.at ?? Number.NEGATIVE_INFINITY) >= COUNTED) {
      this.#marks.push({ position: highest, at: this.#answered })
    }
  }

  /** Takes note that rows were removed under the leases `owner`. */
  gone(owner: string, positions: Iterable<number>): void {
    if (owner !== this.#owner) return
    for (const position of positions) {
      this.#left.delete(position)
      if (this.#removed !== undefined) this.#removed += 1
    }
  }

  /** The position up to which it is worth while to look at what is not committed; undefined if it is not. */
  next(owner: string): { readonly from: Start; readonly to: number } | undefined {
    if (owner !== this.#owner || (this.#removed !== undefined && this.#removed < STEP)) return undefined
    const to = this.#marks.findLast(({ at }) => this.#answered - at >= SETTLED)?.position
    return to === undefined || to < this.#start.low + STEP ? undefined : { from: this.#start, to }
  }

  /**
   * Goes on.
   *
   * @param there what is at or below `to`, committed or not, at the places of `from` or above its `low`, in ascending order; one more than
   * `MOST_LISTED` if there are more
   */
  advance(to: number, there: readonly number[]): void {
    const low = there.length > MOST_LISTED ? (there[MOST_LISTED] ?? 0) - 1 : to
    // A backlog is all there; then nothing is gained.
    this.#removed = low <= this.#start.low ? 0 : undefined
    if (this.#removed === 0) return
    // What was seen and is not known to be removed may only seem to be gone: its removal may never be committed.
    const listed = new Set([...there.slice(0, MOST_LISTED), ...this.#left])
    this.#start = { low, listed: [...listed].filter((position) => position <= low).toSorted((a, b) => a - b) }
    this.#marks = this.#marks.filter(({ position }) => position > low)
  }

  /** Begins at the beginning. */
  reset(owner: string = this.#owner): void {
    const now = this.#clock()
    this.#owner = owner
    this.#start = BEGINNING
    this.#left.clear()
    this.#removed = undefined
    this.#marks = []
    this.#countedAt = now
    this.#wholeAt = now + WHOLE_EVERY
  }
}
