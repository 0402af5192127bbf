// A setup file of the unit and conformance tests: no test file may leave a promise behind that rejects and that nobody looks at.
// vitest alone fails the run for one as well, but does not say in which file.
import { afterAll, expect } from 'vitest'

const KEY = Symbol.for('tandem.test.unhandled-rejections')
const shared = globalThis as { [KEY]?: unknown[] }

function listen(): unknown[] {
  const seen: unknown[] = []
  process.on('unhandledRejection', (reason) => seen.push(reason))
  return seen
}

// Once for a worker, which runs many files.
const rejections = (shared[KEY] ??= listen())

afterAll(async () => {
  // Node reports them when all microtasks have run.
  await new Promise((resolve) => setImmediate(resolve))
  expect(rejections.splice(0), 'promises that were rejected and never handled').toEqual([])
})
