// The guide for the first service, followed to the letter by somebody who has only the package: the files that it shows are written into
// an empty project, compiled and run in the order of the guide.
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bin, installProject, type InstalledProject } from './project.ts'

const guide = readFileSync(new URL('../../../../docs/guides/first-service.md', import.meta.url), 'utf8')
/** The code blocks that begin with a comment that names a file. */
const files = [...guide.matchAll(/```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)```/g)].map(([, name = '', text = '']) => ({
  name,
  text,
}))

let installed: InstalledProject

beforeAll(() => {
  installed = installProject(['@types/node', 'zod'])
  for (const { name, text } of files) installed.write(name, text)
})

afterAll(() => installed.dispose())

test('the guide shows the files that it talks about', () => {
  expect(files.map(({ name }) => name)).toEqual(['messages.ts', 'order.ts', 'mail.ts', 'tandem.config.ts'])
})

test('they compile', () => {
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2023',
    types: ['node'],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  }
  installed.write('tsconfig.json', JSON.stringify({ compilerOptions, files: files.map(({ name }) => name) }))
  installed.run(process.execPath, bin('typescript', 'bin/tsc'), '-p', '.')
})

test('what order.ts sends, mail.ts handles once', async () => {
  installed.run(process.execPath, '--disable-warning=ExperimentalWarning', 'order.ts')
  // A line more than in the guide: it says when the message is handled, and ends.
  const mail = files.find(({ name }) => name === 'mail.ts')?.text ?? ''
  const told = mail.replace(
    'await tandem.start()',
    "tandem.on('message.handled', () => setImmediate(() => void tandem.stop()))\nawait tandem.start()",
  )
  expect(told).not.toBe(mail)
  installed.write('mail-told.ts', told)
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'mail-told.ts'], {
    cwd: installed.project,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0)
  const db = new DatabaseSync(join(installed.project, 'data', 'mail.db'), { readOnly: true })
  expect(
    db
      .prepare('SELECT email FROM greetings')
      .all()
      .map((row) => row['email']),
  ).toEqual(['ada@example.com'])
  db.close()
})
