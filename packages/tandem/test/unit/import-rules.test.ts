// What may import what, over the whole source, and the proof that the check sees what it must see.
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { adaptersReachedFrom, cliBreaks, importsOf, libraryBreaks } from './import-rules.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

/** The sources below a folder; none when it does not exist. */
function sourcesOf(folder: string): Map<string, string> {
  const files = globSync(`${folder}/**/*.{ts,mts,cts,tsx,js,mjs,cjs}`, { cwd: root })
  return new Map(files.map((file) => [file.replaceAll('\\', '/'), readFileSync(root + file, 'utf8')]))
}

const library = sourcesOf('packages/tandem/src')
const cli = sourcesOf('packages/cli/src')

describe('the source keeps the rules', () => {
  test('there is a source to check', () => {
    expect(library.size).toBeGreaterThan(0)
  })

  test('packages/tandem', () => {
    expect([...library].flatMap(([file, text]) => libraryBreaks(file, text))).toEqual([])
  })

  test('packages/cli', () => {
    expect([...cli].flatMap(([file, text]) => cliBreaks(file, text))).toEqual([])
  })

  test('importing tandem loads no adapter, however far away', () => {
    expect(adaptersReachedFrom('packages/tandem/src/index.ts', library)).toEqual([])
  })
})

describe('the check sees every form of import', () => {
  test.each([
    ["import { a } from './x.ts'", false],
    ["import './x.ts'", false],
    ["import * as a from './x.ts'", false],
    ["import a from './x.ts' with { type: 'json' }", false],
    ["import {} from './x.ts'", false],
    ["import { type A } from './x.ts'", false],
    ["import type { A } from './x.ts'", true],
    ["import a = require('./x.ts')", false],
    ["export { a } from './x.ts'", false],
    ["export * from './x.ts'", false],
    ["export * as a from './x.ts'", false],
    ["export {} from './x.ts'", false],
    ["export type { A } from './x.ts'", true],
    ["export type * from './x.ts'", true],
    ["await import('./x.ts')", false],
    ['await import(`./x.ts`)', false],
    ["const f = () => { if (f) { return import('./x.ts') } }", false],
    ["require('./x.ts')", false],
    ["type A = import('./x.ts').A", true],
    ["type A = typeof import('./x.ts')", true],
    ["let a: Map<string, import('./x.ts').A<string>[]>", true],
    ["/// <reference path='./x.ts' />", true],
  ])('%s', (text, typeOnly) => {
    expect(importsOf('file.ts', text)).toEqual([{ specifier: './x.ts', typeOnly }])
  })

  test('and does not take text for an import', () => {
    const text = "const a = \"import './x.ts'\" // import './x.ts'\n/** {@link import('./x.ts')} */ export { a }"
    expect(importsOf('file.ts', text)).toEqual([])
  })

  test('a file that cannot be read is an error, not a clean file', () => {
    expect(() => importsOf('file.ts', 'import from')).toThrow(SyntaxError)
  })
})

describe('seeded breaks in the library', () => {
  test.each([
    ['core/a.ts', "import { b } from '../spi/b.ts'"],
    ['core/a.ts', "import type { B } from '../spi/b.ts'"],
    ['core/deep/a.ts', "import type { B } from '../../spi/b.ts'"],
    ['core/a.ts', "import { z } from 'zod'"],
    ['core/a.ts', "import { readFile } from 'fs'"],
    ['core/a.ts', "import { b } from '@standard-schema/spec/other'"],
    ['core/a.ts', "export * from '../core-extra/b.ts'"],
    ['core/a.ts', 'await import(name)'],
    ['core/a.ts', "await import('../spi/' + name)"],
    ['spi/a.ts', "type B = import('../engine/b.ts').B"],
    ['spi/a.ts', "/// <reference types='pg' />"],
    ['engine/a.ts', "import type { B } from '../outbox/b.ts'"],
    ['engine/a.ts', "import { b } from '../stores/sqlite/index.ts'"],
    ['engine/a.ts', "import { createTandem } from '../tandem.ts'"],
    ['outbox/a.ts', "import { b } from '../inbox/b.ts'"],
    ['half/a.ts', "export type { B } from '../outbox/b.ts'"],
    ['inbox/a.ts', "await import('../dead-letters/b.ts')"],
    ['dead-letters/a.ts', "export { b } from '../inbox/b.ts'"],
    ['tcc/a.ts', "type B = import('../saga/b.ts').B"],
    ['saga/a.ts', "import '../tcc/b.ts'"],
    ['saga/a.ts', "import { b } from '../admin/index.ts'"],
    ['drivers/node-sqlite.ts', "import type { B } from './better-sqlite3.ts'"],
    ['drivers/better-sqlite3.ts', "import type Database from 'better-sqlite3'"],
    ['drivers/node-sqlite.ts', "import { b } from '../stores/sqlite/index.ts'"],
    ['drivers/node-sqlite.ts', "import type { B } from '../engine/b.ts'"],
    ['drivers/drizzle.ts', "import { b } from './kysely-postgres.ts'"],
    ['drivers/drizzle-postgres.ts', "import { b } from './postgres-js.ts'"],
    ['drivers/pg.ts', "import { b } from './drizzle-transactions.ts'"],
    ['stores/sqlite/index.ts', "import { b } from '../../drivers/node-sqlite.ts'"],
    ['stores/sqlite/index.ts', "import { b } from '../memory/index.ts'"],
    ['stores/postgres/index.ts', "export { b } from '../sqlite/statements.ts'"],
    ['stores/sqlite/index.ts', "import type { B } from '../../outbox/b.ts'"],
    ['stores/shared/rows.ts', "import type { B } from '../sqlite/context.ts'"],
    ['drivers/node-sqlite.ts', "import { b } from '../stores/shared/rows.ts'"],
    ['stores/memory/index.ts', "import { b } from '../../drivers/better-sqlite3.ts'"],
    ['stores/memory/index.ts', "import { b } from '../../brokers/memory/index.ts'"],
    ['brokers/memory/index.ts', "import { b } from '../sqlite/index.ts'"],
    ['brokers/sqlite/index.ts', "import { b } from '../../engine/b.ts'"],
    ['brokers/sqlite/index.ts', "import { b } from '../../stores/sqlite/index.ts'"],
    ['admin/index.ts', "import type { B } from '../engine/b.ts'"],
    ['telemetry/a.ts', "import { trace } from '@opentelemetry/api'"],
    ['testing/index.ts', "import { vi } from 'vitest'"],
    ['testing/index.ts', "import { b } from '../stores/memory/index.ts'"],
    ['conformance/index.ts', "import { b } from '../engine/b.ts'"],
    ['index.ts', "export { embedded } from './embedded.ts'"],
    ['index.ts', "export type { B } from './drivers/node-sqlite.ts'"],
    ['index.ts', "await import('./stores/memory/index.ts')"],
    ['index.ts', "import { b } from './brokers/memory/index.ts'"],
    ['index.ts', "import { b } from '../test/b.ts'"],
    ['tandem.ts', "import { b } from 'tandem/spi'"],
    ['embedded.ts', "import { b } from '../../cli/src/b.ts'"],
    ['embedded.ts', "import Database from 'better-sqlite3'"],
    ['utils.ts', ''],
    ['utils/a.ts', ''],
    ['stores/a.ts', ''],
  ])('%s: %s', (path, text) => {
    expect(libraryBreaks(`packages/tandem/src/${path}`, text)).toHaveLength(1)
  })

  test.each([
    ['core/a.ts', "import { randomBytes } from 'node:crypto'"],
    ['core/a.ts', "import type { StandardSchemaV1 } from '@standard-schema/spec'"],
    ['core/deep/a.ts', "import { b } from '../b.ts'"],
    ['spi/a.ts', "import type { B } from '../core/b.ts'"],
    ['engine/a.ts', "import type { B } from '../spi/index.ts'; import { c } from './c.ts'"],
    ['outbox/a.ts', "import { b } from '../engine/b.ts'; import { c } from './c.ts'"],
    ['drivers/node-sqlite.ts', "import { b } from './sqlite-driver.ts'; import type { C } from 'node:sqlite'"],
    ['stores/sqlite/index.ts', "import { b } from './statements.ts'; import type { C } from '../../spi/index.ts'"],
    ['stores/sqlite/index.ts', "import { b } from '../shared/rows.ts'"],
    [
      'stores/memory/index.ts',
      "import { b } from '../sqlite/index.ts'; import { c } from '../../drivers/node-sqlite.ts'",
    ],
    ['brokers/sqlite/index.ts', "import { b } from './topics.ts'; import { c } from '../../core/c.ts'"],
    ['index.ts', "export { createTandem } from './tandem.ts'; export type { B } from './engine/b.ts'"],
    ['tandem.ts', "import { b } from './outbox/b.ts'; import { c } from './half/c.ts'"],
    ['embedded.ts', "import { b } from './stores/sqlite/index.ts'; import { c } from './brokers/sqlite/index.ts'"],
  ])('none in %s: %s', (path, text) => {
    expect(libraryBreaks(`packages/tandem/src/${path}`, text)).toEqual([])
  })

  test('an adapter behind two files', () => {
    const sources = new Map([
      ['packages/tandem/src/index.ts', "export { createTandem } from './tandem.ts'"],
      ['packages/tandem/src/tandem.ts', "import { relay } from './engine/relay.ts'; await import('./embedded.ts')"],
      ['packages/tandem/src/engine/relay.ts', "import '../tandem.ts'"],
      ['packages/tandem/src/embedded.ts', "import './stores/sqlite/index.ts'"],
    ])
    const reached = adaptersReachedFrom('packages/tandem/src/index.ts', sources)
    expect(reached).toEqual(['index.ts → tandem.ts → embedded.ts'])
  })
})

describe('seeded breaks in the command line', () => {
  test.each([
    "import { createTandem } from 'tandem'",
    "import { type Message } from 'tandem'",
    "import type { Store } from 'tandem/spi'",
    "await import('tandem/embedded')",
    "type S = import('tandem/stores/sqlite').SqliteStore",
    "import { a } from '../../tandem/src/admin/index.ts'",
    "import { a } from '../../../tandem/src/index.ts'",
    "import { a } from '@tandem/shop'",
  ])('%s', (text) => {
    expect(cliBreaks('packages/cli/src/a.ts', text)).toHaveLength(1)
  })

  test.each([
    "import { createAdmin } from 'tandem/admin'",
    "import type { Message } from 'tandem'",
    "type M = import('tandem').Message",
    "import { Command } from 'commander'",
    "import { b } from './commands/b.ts'",
    "import { readFile } from 'node:fs/promises'",
    'await import(configFile)',
  ])('none in: %s', (text) => {
    expect(cliBreaks('packages/cli/src/a.ts', text)).toEqual([])
  })
})
