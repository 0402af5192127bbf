import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'

/**
 * Prints `N passed, N failed` alone on the last line, for whoever reads a log by machine: none of the
 * built-in reporters does. A `--reporter` flag on the command line switches it off.
 *
 * With TANDEM_TEST_ALL=1 a skip is a failure, and named.
 */
export default class ClosingLineReporter implements Reporter {
  #mayNotSkip = false

  onInit({ config }: Vitest): void {
    // Whoever asks for some tests by name has all others skipped.
    this.#mayNotSkip = process.env['TANDEM_TEST_ALL'] === '1' && config.testNamePattern === undefined
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0
    let failed = unhandled.length
    const skipped: TestCase[] = []
    for (const module of modules) {
      const before = failed
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed++
        else if (state === 'failed') failed++
        else skipped.push(test)
      }
      // A file that did not load has no tests to count, and must not pass for that.
      if (module.state() === 'failed' && failed === before) failed++
    }
    const counted = this.#mayNotSkip ? [] : skipped
    if (this.#mayNotSkip && skipped.length > 0) {
      failed += skipped.length
      process.exitCode = 1
      const names = skipped.map(({ module, fullName }) => `  ${module.relativeModuleId} > ${fullName}`)
      process.stdout.write(`\nSkipped, which is a failure when all tests are run:\n${names.join('\n')}\n`)
    }
    // At exit, so that it comes after the default reporter's summary.
    process.on('exit', () => {
      process.stdout.write(`\n${passed} passed, ${failed} failed, ${counted.length} skipped\n`)
    })
  }
}
