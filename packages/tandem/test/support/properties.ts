import type fc from 'fast-check'

const times = Number(process.env['TANDEM_PROPERTY_RUNS'] ?? 1)

/** A time limit in milliseconds that grows with the number of runs. */
export function patience(ms: number): number {
  return ms * Math.max(1, times)
}

/**
 * How every property test runs. Settings come from the environment:
 *
 * - `TANDEM_PROPERTY_RUNS` multiplies the number of runs, for a long night (default 1).
 * - `TANDEM_PROPERTY_SEED` and `TANDEM_PROPERTY_PATH` replay a failure. A failing run prints them as `seed` and `path`:
 *   `TANDEM_PROPERTY_SEED=-123 TANDEM_PROPERTY_PATH=4:1:0 npx vitest run --project unit <file> -t '<name of the test>'`
 *
 * @param runs the default number of runs
 */
export function runs<T = unknown>(count: number): fc.Parameters<T> {
  const { TANDEM_PROPERTY_SEED: seed, TANDEM_PROPERTY_PATH: path } = process.env
  return {
    numRuns: Math.max(1, Math.round(count * times)),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path, endOnFailure: true }),
  }
}
