// The export map is written by hand: no entry may point its three conditions at different modules, and no adapter may
// be forgotten. That each entry is built and loads is the packaging test's business.
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: Record<string, unknown> }
const { './package.json': ownManifest, ...modules } = exports

test('the package tells its own version', () => {
  expect(ownManifest).toBe('./package.json')
})

test.each(Object.entries(modules))('%s names one module, its source first', (path, conditions) => {
  const source = (conditions as Record<string, string>)['tandem-source'] ?? ''
  const [, module = ''] = /^\.\/src\/(.+)\.ts$/.exec(source) ?? []
  expect(module.replace(/(^|\/)index$/, '')).toBe(path.slice(2))
  // In order: the first condition that a resolver knows wins.
  expect(Object.entries(conditions as Record<string, string>)).toEqual([
    ['tandem-source', `./src/${module}.ts`],
    ['types', `./dist/${module}.d.ts`],
    ['default', `./dist/${module}.js`],
  ])
})

test('every adapter is exported', () => {
  const files = globSync(['drivers/*.ts', '{stores,brokers}/*/index.ts'], { cwd: `${root}src` })
  const adapters = files
    .map((file) => `./${file.replaceAll('\\', '/').replace(/(\/index)?\.ts$/, '')}`)
    // What all drivers of a database share is no driver, nor is a part of one; `postgres-js` is the name of one.
    .filter(
      (path) =>
        !/^\.\/drivers\/(?:shared|sqlite|mysql|postgres|drizzle|kysely|knex|prisma|typeorm|mikro-orm|sequelize)-(?!js$)/.test(
          path,
        ),
    )
  expect(adapters.filter((path) => !(path in modules))).toEqual([])
})
