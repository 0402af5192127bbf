import type { Reporter, TestModule } from 'vitest/node'

/**
 * Prints `N passed, N failed` alone on the last line, for whoever reads a log by machine: none of the
 * built-in reporters does. A `--reporter` flag on the command line switches it off.
 */
export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0
    let failed = unhandled.length
    let skipped = 0
    for (const module of modules) {
      const before = failed
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed++
        else if (state === 'failed') failed++
        else skipped++
      }
      // A file that did not load has no tests to count, and must not pass for that.
      if (module.state() === 'failed' && failed === before) failed++
    }
    // At exit, so that it comes after the default reporter's summary.
    process.on('exit', () => {
      process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`)
    })
  }
}
