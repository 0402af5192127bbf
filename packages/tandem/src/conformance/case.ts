/**
 * One thing that an adapter must do. A case knows nothing about the test runner: it passes when `run` resolves.
 */
export interface ConformanceCase {
  /** The part of the contract that it belongs to; cases of one area are shown together. */
  readonly area: string
  /** What is true when the case passes. Unique within its area. */
  readonly name: string
  run(): Promise<void>
}

/** The two functions of a test runner that the cases need. vitest, jest, mocha and `node:test` have them under these names. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: (name: string, body: () => Promise<void>) => unknown
}

/**
 * Binds cases to a test runner, one `describe` per area, in the order in which the areas first appear.
 *
 * @throws Error when two cases have the same area and name
 * @example register(driverConformance({ name: 'node-sqlite', make }), { describe, it })
 */
export function register(cases: readonly ConformanceCase[], runner: TestRunner): void {
  const areas = new Map<string, Map<string, ConformanceCase>>()
  for (const one of cases) {
    const area = areas.get(one.area) ?? new Map<string, ConformanceCase>()
    areas.set(one.area, area)
    if (area.has(one.name)) throw new Error(`two conformance cases are named "${one.area}: ${one.name}"`)
    area.set(one.name, one)
  }
  for (const [area, ofArea] of areas) {
    runner.describe(area, () => {
      for (const one of ofArea.values()) runner.it(one.name, () => one.run())
    })
  }
}
