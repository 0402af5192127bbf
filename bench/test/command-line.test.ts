import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runCommandLine } from '../src/harness/command-line.ts'
import type { Bench, BenchContext, Suite } from '../src/harness/suite.ts'

function bench(name: string, value: number, seen: BenchContext[] = []): Bench {
  return {
    name,
    title: `measures ${name}`,
    run: async (context) => {
      await writeFile(join(context.folder, 'file'), 'data')
      seen.push(context)
      return [{ name: `${name} rate`, value, unit: '1/s', reach: { atLeast: 10 } }]
    },
  }
}

async function run(suite: Suite, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await runCommandLine([suite], args, {
    print: (text) => void out.push(text),
    complain: (text) => void err.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const suite = (...benches: Bench[]): Suite => ({ name: 'files', title: 'on files', benches })

test('without arguments it lists the suites and their benches', async () => {
  const { code, out } = await run(suite(bench('send', 1)))
  expect(code).toBe(0)
  expect(out).toContain('files: on files')
  expect(out).toMatch(/send +measures send/)
})

test.each([
  [['nothing'], 'there is no suite "nothing"; there are: files'],
  [['files', 'more'], 'one suite at a time, not files, more'],
  [['files', '--only', 'sned'], 'suite files has no bench "sned"; it has: send'],
  [['files', '--fast'], "Unknown option '--fast'"],
  [['files', '--json'], "'--json <value>' argument missing"],
  [['files', '--minutes', 'soon'], '--minutes must be a number of minutes, not "soon"'],
  [['--slice'], 'name a suite first'],
])('%j is refused', async (args, text) => {
  const { code, out, err } = await run(suite(bench('send', 1)), ...args)
  expect(code).toBe(2)
  expect(err).toContain(text)
  expect(out).toBe('')
})

test('a reach that is missed gives exit code 1 and is named', async () => {
  const { code, out } = await run(suite(bench('slow', 9), bench('fast', 10)), 'files')
  expect(code).toBe(1)
  expect(out).toMatch(/slow rate +9 +1\/s +>= 10 +MISSED/)
  expect(out).toMatch(/fast rate +10 +1\/s +>= 10 +ok/)
  expect(out).toContain('Missed: slow: slow rate (9, >= 10)')
})

test('--only runs one bench', async () => {
  const { code, out } = await run(suite(bench('slow', 9), bench('fast', 10)), 'files', '--only', 'fast')
  expect(code).toBe(0)
  expect(out).not.toContain('slow')
  expect(out).toContain('Every reach is met.')
})

test('--slice judges nothing and says so', async () => {
  const seen: BenchContext[] = []
  const { code, out } = await run(suite(bench('slow', 9, seen)), 'files', '--slice')
  expect(code).toBe(0)
  expect(seen[0]?.slice).toBe(true)
  expect(out).not.toContain('MISSED')
  expect(out).toContain('too short to judge')
})

test('a bench has a folder of its own, which is removed', async () => {
  const seen: BenchContext[] = []
  await run(suite(bench('one', 10, seen), bench('two', 10, seen)), 'files')
  expect(seen.map(({ folder }) => existsSync(folder))).toEqual([false, false])
  expect(seen[0]?.folder).not.toBe(seen[1]?.folder)
})

test('what the command line says of the database and of minutes reaches the bench', async () => {
  const seen: BenchContext[] = []
  await run(suite(bench('one', 10, seen)), 'files')
  await run(suite(bench('one', 10, seen)), 'files', '--database', 'postgres://here/there', '--minutes', '0.5')
  expect(seen).toMatchObject([
    { database: undefined, minutes: 5 },
    { database: 'postgres://here/there', minutes: 0.5 },
  ])
})

test('--json writes all figures, also when a reach is missed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-bench-test-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'figures.json')
  const { code } = await run(suite(bench('slow', 9), bench('fast', 10)), 'files', '--json', file)
  expect(code).toBe(1)
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual([
    { bench: 'slow', name: 'slow rate', value: 9, unit: '1/s', reach: '>= 10', ok: false },
    { bench: 'fast', name: 'fast rate', value: 10, unit: '1/s', reach: '>= 10', ok: true },
  ])
})
