import { median } from './statistics.ts'

/** Runs something once and resolves to its rate (or any other figure that is a ratio's part). */
export type Run = (round: number) => Promise<number>

export interface Paired {
  /** Median of the runs of each side. */
  readonly base: number
  readonly other: number
  /** Median of `other / base` over the pairs. */
  readonly ratio: number
}

/**
 * Compares two runs by pairs, A B B A A B …, so that whatever else the machine does hits both alike. A first pair only warms up.
 *
 * @param pairs how many pairs count
 */
export async function paired(pairs: number, runBase: Run, runOther: Run): Promise<Paired> {
  const base: number[] = []
  const other: number[] = []
  const ratios: number[] = []
  for (let round = 0; round <= pairs; round++) {
    const baseFirst = round % 2 === 0
    const early = await (baseFirst ? runBase : runOther)(round)
    const late = await (baseFirst ? runOther : runBase)(round)
    if (round === 0) continue
    const [a, b] = baseFirst ? [early, late] : [late, early]
    base.push(a)
    other.push(b)
    ratios.push(b / a)
  }
  return { base: median(base), other: median(other), ratio: median(ratios) }
}
