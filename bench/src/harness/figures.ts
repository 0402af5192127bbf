/** What a figure has to be. */
type Reach = { readonly atLeast: number } | { readonly atMost: number } | { readonly below: number }

/** One line of a bench. */
export interface Figure {
  readonly name: string
  readonly value: number
  /** Empty for a ratio. */
  readonly unit: string
  /** Undefined: measured for the record. */
  readonly reach?: Reach
}

/** A line as `--json` writes it. */
export interface FigureRecord {
  readonly bench: string
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly reach: string | null
  /** Whether the reach is met (true also where there is none); null when nothing was judged. */
  readonly ok: boolean | null
}

export function isReached({ value, reach }: Figure): boolean {
  if (reach === undefined) return true
  if ('atLeast' in reach) return value >= reach.atLeast
  if ('atMost' in reach) return value <= reach.atMost
  return value < reach.below
}

function reachText(reach: Reach): string {
  if ('atLeast' in reach) return `>= ${reach.atLeast}`
  if ('atMost' in reach) return `<= ${reach.atMost}`
  return `< ${reach.below}`
}

/**
 * @param bench the name of the bench that has measured it
 * @param judge false: the run was too short to say anything
 */
export function toRecord(bench: string, figure: Figure, judge: boolean): FigureRecord {
  const { name, value, unit, reach } = figure
  return {
    bench,
    name,
    value,
    unit,
    reach: reach === undefined ? null : reachText(reach),
    ok: judge ? isReached(figure) : null,
  }
}
