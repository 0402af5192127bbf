/** The middle value; the mean of the two in the middle of an even number of values. */
export function median(values: readonly number[]): number {
  const sorted = ascending(values)
  const middle = sorted.length >>> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The smallest value that at least `percent` of a hundred are not above (nearest rank). */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = ascending(values)
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}

function ascending(values: readonly number[]): number[] {
  if (values.length === 0) throw new Error('there are no values')
  return values.toSorted((a, b) => a - b)
}
