import { posix } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'

/** One import of a file, in whatever form it is written. */
export interface Import {
  readonly specifier: string
  /** Gone after compilation: `import type`, `export type`, `import('x').T`. */
  readonly typeOnly: boolean
}

/** What a specifier that is worked out at run time is reported as: nothing can be said about where it leads. */
const COMPUTED = '<computed>'

/** Every import of a source text: static, for side effects, of types, re-exported, dynamic, in a type, by `require`. */
export function importsOf(file: string, text: string): Import[] {
  const { program, comments, errors } = parseSync(file, text)
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0]?.message}`)
  const found: Import[] = []
  const add = (specifier: string, typeOnly: boolean): number => found.push({ specifier, typeOnly })
  // `import { type A }` leaves `import {}` behind and still loads the module, `import type` does not.
  new Visitor({
    ImportDeclaration: (node) => add(node.source.value, node.importKind === 'type'),
    ExportAllDeclaration: (node) => add(node.source.value, node.exportKind === 'type'),
    ExportNamedDeclaration: (node) => node.source && add(node.source.value, node.exportKind === 'type'),
    TSExternalModuleReference: (node) => add(node.expression.value, false),
    TSImportType: (node) => add(node.source.value, true),
    ImportExpression: (node) => add(literal(node.source), false),
    CallExpression: (node) => {
      if (node.callee.type === 'Identifier' && node.callee.name === 'require') add(literal(node.arguments[0]), false)
    },
  }).visit(program)
  for (const { type, value } of comments) {
    const reference = type === 'Line' ? /^\/\s*<reference\s+(?:path|types)\s*=\s*["']([^"']+)/.exec(value) : null
    if (reference?.[1] !== undefined) add(reference[1], true)
  }
  return found
}

function literal(node: unknown): string {
  const { type, value, expressions, quasis } = node as {
    type?: string
    value?: unknown
    expressions?: unknown[]
    quasis?: { value: { cooked: string } }[]
  }
  if (type === 'Literal' && typeof value === 'string') return value
  if (type === 'TemplateLiteral' && expressions?.length === 0) return quasis?.[0]?.value.cooked ?? COMPUTED
  return COMPUTED
}

/** Where an import leads: a path from the root of the repository, or the specifier itself when it is not relative. */
function targetOf(file: string, specifier: string): string {
  return /^\.\.?(\/|$)/.test(specifier) ? posix.join(posix.dirname(file), specifier) : specifier
}

interface Rule {
  /**
   * The files that it holds for, by path from `packages/tandem/src/`. What the group `own` matches names their own folder, what the group
   * `parts` matches begins the names of their parts.
   */
  readonly files: RegExp
  /** Folders and files, besides their own folder, that they may import. */
  readonly may: readonly string[]
  /** What they may not import although `may` covers it. */
  readonly never?: readonly string[]
}

const SRC = 'packages/tandem/src/'
const ADAPTERS = ['stores/', 'brokers/', 'drivers/', 'embedded.ts']

/** The walls of the house. The first rule that names a file holds for it; a file that none names needs a rule first. */
const RULES: readonly Rule[] = [
  { files: /^(?<own>core)\//, may: [] },
  { files: /^(?<own>spi)\//, may: ['core/'] },
  { files: /^(?<own>engine)\//, may: ['core/', 'spi/'] },
  // A pattern stands alone: what two of them need belongs to the engine.
  { files: /^(?<own>outbox|half|inbox|dead-letters|tcc|saga)\//, may: ['core/', 'spi/', 'engine/'] },
  // Drivers are single files in one folder, so `own` would let them import each other. What all drivers of a
  // database share is in files named after it: sqlite-…. A driver of several databases has parts named after itself.
  {
    files: /^(?<parts>drivers\/(?:drizzle|kysely|knex|prisma|typeorm|mikro-orm|sequelize))[-.]/,
    may: ['core/', 'spi/', 'drivers/sqlite-', 'drivers/postgres-', 'drivers/mysql-', 'drivers/shared-'],
    never: ['drivers/postgres-js.ts'],
  },
  {
    files: /^drivers\//,
    may: ['core/', 'spi/', 'drivers/sqlite-', 'drivers/postgres-', 'drivers/mysql-', 'drivers/shared-'],
    never: ['drivers/postgres-js.ts'],
  },
  // The memory store is the SQLite store on `:memory:`: one set of statements to prove right, not two.
  { files: /^(?<own>stores\/memory)\//, may: ['core/', 'spi/', 'stores/sqlite/', 'drivers/node-sqlite.ts'] },
  // What is the same in every dialect: files of migrations, rows, pages. Never a statement.
  { files: /^(?<own>stores\/shared)\//, may: ['core/', 'spi/'] },
  { files: /^(?<own>stores\/[^/]+)\//, may: ['core/', 'spi/', 'stores/shared/'] },
  { files: /^(?<own>brokers\/[^/]+)\//, may: ['core/', 'spi/'] },
  { files: /^(?<own>admin|telemetry|testing|conformance)\//, may: ['core/', 'spi/'] },
  // Who imports `tandem` must not load adapters that are not used.
  { files: /^index\.ts$/, may: [''], never: ADAPTERS },
  { files: /^(tandem|options|embedded)\.ts$/, may: [''] },
]

/** What is wrong with the imports of one file of the library; `file` is a path from the root of the repository. */
export function libraryBreaks(file: string, text: string): string[] {
  const path = file.slice(SRC.length)
  const rule = RULES.find(({ files }) => files.test(path))
  if (!file.startsWith(SRC) || rule === undefined) return [`${file}: no import rule names this file`]
  const { own, parts } = rule.files.exec(path)?.groups ?? {}
  const near = [own === undefined ? [] : `${own}/`, parts === undefined ? [] : `${parts}-`].flat()
  const may = [...rule.may, ...near]
  const allowed = (target: string): boolean => {
    if (target.startsWith('node:') || target === '@standard-schema/spec') return true
    if (!target.startsWith(SRC)) return false
    const inside = target.slice(SRC.length)
    return may.some((start) => inside.startsWith(start)) && !rule.never?.some((start) => inside.startsWith(start))
  }
  return breaks(file, text, ({ specifier }) => allowed(targetOf(file, specifier)))
}

const CLI = 'packages/cli/'

/**
 * What is wrong with the imports of one file of the command line. It sees the library as the console does, through
 * `tandem/admin`; the root gives it types only. Other packages are its own affair, and a computed import is how it
 * loads the user's configuration.
 */
export function cliBreaks(file: string, text: string): string[] {
  return breaks(file, text, ({ specifier, typeOnly }) => {
    const target = targetOf(file, specifier)
    if (target === 'tandem/admin' || (target === 'tandem' && typeOnly)) return true
    if (target !== specifier) return target.startsWith(CLI)
    return !/^(tandem|@tandem)(\/|$)/.test(target) && !target.startsWith('/') && !target.startsWith('#')
  })
}

function breaks(file: string, text: string, allowed: (found: Import) => boolean): string[] {
  return importsOf(file, text)
    .filter((found) => !allowed(found))
    .map(({ specifier }) => `${file} may not import ${specifier}`)
}

/** Adapters that the files reach from `entry`, directly or not, each with the path that leads to it. */
export function adaptersReachedFrom(entry: string, sources: ReadonlyMap<string, string>): string[] {
  const seen = new Set<string>()
  const reached: string[] = []
  const walk = (file: string, path: readonly string[]): void => {
    const text = sources.get(file)
    if (text === undefined || seen.has(file)) return
    seen.add(file)
    const route = [...path, file.slice(SRC.length)]
    if (ADAPTERS.some((start) => file.startsWith(SRC + start))) {
      reached.push(route.join(' → '))
      return
    }
    for (const { specifier } of importsOf(file, text)) walk(targetOf(file, specifier), route)
  }
  walk(entry, [])
  return reached
}
