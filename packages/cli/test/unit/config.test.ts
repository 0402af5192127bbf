import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadAdmin } from '../../src/config.ts'
import type { Io } from '../../src/io.ts'
import { call, CONFIG, matching } from './harness.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-config-'))
  process.env['TANDEM_TEST_FOLDER'] = folder
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A configuration that fakes its store, so that it needs no import that a folder elsewhere cannot resolve. */
const fake = (service: string): string =>
  `{ service: '${service}', store: { name: 'fake', open: async () => {}, close: async () => {}, admin: {} } }`

describe('finding it', () => {
  const services = async (cwd: string): Promise<{ services: readonly string[]; entered: string }> => {
    let entered = ''
    const io = { cwd, enter: (to: string) => void (entered = to) } as unknown as Io
    const admin = await loadAdmin(io, {})
    return { services: admin.services, entered }
  }

  test('the nearest upwards counts, and its folder becomes the working directory', async () => {
    mkdirSync(join(folder, 'a/b/c'), { recursive: true })
    writeFileSync(join(folder, 'tandem.config.mjs'), `export default ${fake('outer')}`)
    expect(await services(join(folder, 'a/b/c'))).toEqual({ services: ['outer'], entered: folder })
    writeFileSync(join(folder, 'a/tandem.config.mjs'), `export default [${fake('inner')}, ${fake('other')}]`)
    expect(await services(join(folder, 'a/b'))).toEqual({ services: ['inner', 'other'], entered: join(folder, 'a') })
  })

  test('TypeScript before JavaScript', async () => {
    writeFileSync(join(folder, 'tandem.config.mjs'), `export default ${fake('mjs')}`)
    writeFileSync(join(folder, 'tandem.config.ts'), `const name: string = 'ts'\nexport default ${fake('ts')}`)
    expect((await services(folder)).services).toEqual(['ts'])
  })
})

describe('what is wrong with it is said in one line', () => {
  test('none, or not the one that was named', async () => {
    expect(await call(['status'], { cwd: folder })).toEqual({
      code: 2,
      stdout: '',
      stderr: matching(/^tandem: there is no tandem\.config\.ts .* or name a file with --config\n$/),
    })
    const named = await call(['status', '--config', 'elsewhere.ts'], { cwd: folder })
    expect(named).toEqual({ code: 2, stdout: '', stderr: 'tandem: --config elsewhere.ts: there is no such file\n' })
  })

  test.each([
    ['a syntax error', 'export default {', /^tandem: cannot load \S+tandem\.config\.mjs: .*\(CONFIG_INVALID\)\n$/],
    [
      'an import that fails',
      "import 'no-such-package'",
      /^tandem: cannot load .*no-such-package.*\(CONFIG_INVALID\)\n$/,
    ],
    ['no default export', 'export const store = 1', /^tandem: \S+ has no default export; .*\(CONFIG_INVALID\)\n$/],
    ['the wrong shape', 'export default 1', /^tandem: \S+: the default export must be .*\(CONFIG_INVALID\)\n$/],
    ['no store', "export default { service: 'order' }", /^tandem: \S+: store must be a store.*\(CONFIG_INVALID\)\n$/],
    [
      'a misspelt option',
      `export default { ...${fake('a')}, stor: 1 }`,
      /^tandem: \S+: there is no option "stor".*\(OPTION_UNKNOWN\)\n$/,
    ],
    [
      'a function that throws',
      'export default () => { throw new Error("no\\nway") }',
      /^tandem: Error: no\\nway.*\(UNEXPECTED\)\n$/,
    ],
  ])('%s', async (_, text, line) => {
    writeFileSync(join(folder, 'tandem.config.mjs'), text)
    const { code, stdout, stderr } = await call(['status'], { cwd: folder })
    expect(stderr).toMatch(line)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  })

  test('the stack and the causes come on request', async () => {
    writeFileSync(join(folder, 'tandem.config.mjs'), "import 'no-such-package'")
    expect((await call(['status', '--verbose'], { cwd: folder })).stderr).toMatch(/\n {2}TandemError: .*\n {2} +at /s)
    const env = { TANDEM_DEBUG: '1' }
    expect((await call(['status'], { cwd: folder, env })).stderr).toMatch(/\n {2} +at /)
  })

  test('a service that it does not have', async () => {
    const { code, stderr } = await call(['status', '--config', CONFIG, '--service', 'shipping'])
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `tandem: --service shipping: ${CONFIG} has no such service; it has order, stock\n`,
    })
  })
})
