// The page shows one sample for each driver, and each as its file has it. That they run is seen by the tests named samples….
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { samplesOf, withSamples } from '../../../../../scripts/driver-samples.ts'

const root = fileURLToPath(new URL('../../../../../', import.meta.url))
const page = readFileSync(`${root}docs/guides/drivers.md`, 'utf8')

test('the code on the page is the code of the files (if not: node scripts/driver-samples.ts)', () => {
  expect(page).toBe(withSamples(page))
})

test('a sample that is another one than its file is seen', () => {
  const changed = page.replace('createTandem({', 'createTandem ({')
  expect(withSamples(changed)).not.toBe(changed)
})

test('every sample is on the page, once', () => {
  const files = globSync('examples/drivers/src/*.ts', { cwd: root })
  expect(samplesOf(page).toSorted()).toEqual(files.map((file) => file.replaceAll('\\', '/')).toSorted())
})

test('every driver has a sample, which a test runs', () => {
  const { exports } = JSON.parse(readFileSync(`${root}packages/tandem/package.json`, 'utf8')) as { exports: object }
  const drivers = Object.keys(exports).flatMap((path) => /^\.\/drivers\/(.+)$/.exec(path)?.[1] ?? [])
  const samples = samplesOf(page)
  expect(drivers.filter((name) => !samples.includes(`examples/drivers/src/${name}.ts`))).toEqual([])
  const tests = globSync('packages/tandem/test/**/samples*.test.ts', { cwd: root })
  const run = tests.map((file) => readFileSync(`${root}${file}`, 'utf8')).join('\n')
  expect(drivers.filter((name) => !run.includes(`examples/drivers/src/${name}.ts`))).toEqual([])
})
