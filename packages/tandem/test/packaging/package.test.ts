// The package as its users get it: built, packed, installed into an empty project far from this repository, and there
// imported, required and compiled against, entry by entry. Whatever the export map names is covered. Needs no network:
// what the project installs besides is packed out of our own node_modules.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bin, installProject, manifest, type InstalledProject } from './project.ts'

const entries = Object.entries(manifest.exports).map(([path, target]) => ({
  specifier: manifest.name + path.slice(1),
  targets: typeof target === 'string' ? [target] : Object.values(target),
  json: typeof target === 'string' && target.endsWith('.json'),
}))
const modules = entries.filter(({ json }) => !json)

let installed: InstalledProject

beforeAll(() => {
  installed = installProject(['@types/node'])
})

afterAll(() => installed.dispose())

describe('the tarball', () => {
  test('holds every file that the export map names', () => {
    const paths = installed.packed.files.map(({ path }) => `./${path}`)
    const named = entries.flatMap(({ targets }) => targets)
    expect(named.filter((target) => !paths.includes(target))).toEqual([])
  })

  test('holds nothing but what users need', () => {
    const expected = /^(dist|src|sql)\/|^(package\.json|LICENSE|README(\..+)?\.md)$/
    expect(installed.packed.files.map(({ path }) => path).filter((path) => !expected.test(path))).toEqual([])
  })

  test('satisfies publint', () => {
    installed.run(process.execPath, bin('publint', 'src/cli.js'), 'run', installed.packed.filename, '--strict')
  })

  test('satisfies "are the types wrong?"', () => {
    const attw = bin('@arethetypeswrong/cli', 'dist/index.js')
    installed.run(process.execPath, attw, installed.packed.filename, '--profile', 'esm-only', '--no-definitely-typed')
  })
})

describe('an installed entry', () => {
  test.each(modules)('$specifier is imported and required', ({ specifier }) => {
    const folder = pathToFileURL(join(installed.project, 'node_modules', manifest.name, 'dist/')).href
    const script = `
      import { createRequire } from 'node:module'
      const url = import.meta.resolve('${specifier}')
      if (!url.startsWith('${folder}')) throw new Error('resolved to ' + url)
      const imported = await import('${specifier}')
      // Users whose code is still CommonJS get the very same module, as long as nothing in it awaits at top level.
      const required = createRequire(import.meta.url)('${specifier}')
      if (required !== imported) throw new Error('require() gave another module')`
    runScript(script)
  })

  test.each(entries.filter(({ json }) => json))('$specifier is imported as JSON', ({ specifier }) => {
    runScript(`import data from '${specifier}' with { type: 'json' }; if (!data.name) throw new Error('empty')`)
  })

  test.each([
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler' },
  ])('compiles with nothing skipped, resolved by $moduleResolution', (options) => {
    // Strict where a user may be stricter than we are; no `lib`, since few set one.
    const compilerOptions = {
      ...options,
      target: 'es2022',
      types: ['node'],
      strict: true,
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
    }
    const names = modules.map((_, index) => `m${index}`)
    const imports = modules.map(({ specifier }, index) => `import * as m${index} from '${specifier}'`)
    installed.write('user.ts', `${imports.join('\n')}\nexport const all: object[] = [${names.join(', ')}]\n`)
    installed.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['user.ts'] }))
    installed.run(process.execPath, bin('typescript', 'bin/tsc'), '-p', '.')
  })
})

function runScript(text: string): void {
  installed.write('script.js', text)
  installed.run(process.execPath, '--disable-warning=ExperimentalWarning', 'script.js')
}
