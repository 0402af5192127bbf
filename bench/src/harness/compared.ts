import type { Run } from './paired.ts'
import { median } from './statistics.ts'

export interface Compared<Name extends string> {
  /** Median of the runs of one side. */
  rate(name: Name): number
  /** Median, over the rounds, of one side by another. */
  ratio(name: Name, by: Name): number
}

/** On a slow or busy machine no further round begins after so many milliseconds, once this many have counted. */
const LONGEST = 30_000
const LEAST_ROUNDS = 3

/**
 * Compares several runs by rounds in which each has its turn, every second round backwards, so that whatever else the machine does hits
 * all alike. A first round only warms up.
 *
 * @param rounds how many count, unless time runs out
 * @param clock milliseconds
 */
export async function compared<Name extends string>(
  rounds: number,
  runs: Readonly<Record<Name, Run>>,
  clock: () => number = () => performance.now(),
): Promise<Compared<Name>> {
  const names = Object.keys(runs) as Name[]
  const rates = new Map<Name, number[]>(names.map((name) => [name, []]))
  const from = clock()
  for (let round = 0; round <= rounds; round++) {
    if (round > LEAST_ROUNDS && clock() - from > LONGEST) break
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const rate = await runs[name](round)
      if (round > 0) rates.get(name)?.push(rate)
    }
  }
  const of = (name: Name): readonly number[] => rates.get(name) ?? []
  return {
    rate: (name) => median(of(name)),
    ratio: (name, by) => median(of(name).map((rate, round) => rate / (of(by)[round] ?? Number.NaN))),
  }
}
