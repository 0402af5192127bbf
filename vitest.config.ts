import { configDefaults, defineConfig } from 'vitest/config'
import { filesWithoutServer } from './scripts/tests-on-servers.ts'

// Our packages resolve to their sources, so no test waits for a build.
const conditions = ['tandem-source']
// Node 22 warns about node:sqlite on every start.
const execArgv = ['--conditions=tandem-source', '--disable-warning=ExperimentalWarning']
const setupFiles = ['packages/tandem/test/support/no-unhandled-rejections.ts']
const exclude = [...configDefaults.exclude, ...filesWithoutServer()]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    exclude,
    reporters: ['default', './scripts/closing-line-reporter.ts'],
    coverage: { provider: 'v8', include: ['packages/{tandem,cli}/src/**/*.ts'] },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['packages/*/test/unit/**/*.test.ts', 'bench/test/**/*.test.ts'],
          isolate: false,
          // A property test may be told to run many times as often, and a machine may be busy.
          testTimeout: 30_000 * Math.max(1, Number(process.env['TANDEM_PROPERTY_RUNS'] ?? 1)),
          setupFiles,
          execArgv,
        },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['packages/tandem/test/conformance/**/*.test.ts'],
          setupFiles,
          execArgv,
        },
      },
      {
        extends: true,
        // One server for all of them, which npm has installed.
        test: {
          name: 'postgres',
          include: ['packages/tandem/test/postgres/**/*.test.ts'],
          globalSetup: 'packages/tandem/test/support/postgres-global.ts',
          testTimeout: 30_000,
          hookTimeout: 30_000,
          setupFiles,
          execArgv,
          // By itself: it keeps the disk busy, on which those that wait for leases depend.
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        // One server for all of them, which the system has installed.
        test: {
          name: 'mariadb',
          include: ['packages/tandem/test/mariadb/**/*.test.ts'],
          globalSetup: 'packages/tandem/test/support/mariadb-global.ts',
          testTimeout: 30_000,
          hookTimeout: 30_000,
          setupFiles,
          execArgv,
          // By itself, as the tests on PostgreSQL.
          sequence: { groupOrder: 5 },
        },
      },
      {
        extends: true,
        // These kill processes and wait for leases to run out: few at a time, or one starves the other.
        test: {
          name: 'faults',
          include: ['packages/*/test/faults/**/*.test.ts'],
          globalSetup: [
            'packages/tandem/test/support/postgres-global.ts',
            'packages/tandem/test/support/mariadb-global.ts',
          ],
          pool: 'forks',
          maxWorkers: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          execArgv,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // Starts the demo, which starts three processes and kills them, and servers as `npm run services` does.
        test: {
          name: 'examples',
          include: ['examples/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 1,
          // One test runs the demo three times, and a machine may be busy.
          testTimeout: 300_000,
          hookTimeout: 120_000,
          execArgv,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            checker: 'tsc',
            include: ['packages/tandem/test/types/**/*.test-d.ts'],
            tsconfig: './tsconfig.json',
          },
        },
      },
      {
        extends: true,
        // Packs and installs what would be published: slow, so only `npm run test:all` does it.
        test: {
          name: 'packaging',
          include: process.env['TANDEM_TEST_ALL'] === '1' ? ['packages/tandem/test/packaging/**/*.test.ts'] : [],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
