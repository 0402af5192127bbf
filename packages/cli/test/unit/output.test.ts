// What may never be seen: secrets, and characters that a terminal obeys.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  dead,
  handled,
  held,
  id,
  prepared,
  SECRET,
  undecided,
  type Sent,
} from '../../../tandem/test/unit/admin/world.ts'
import { cliWorld, type CliWorld, type Result } from './harness.ts'

let world: CliWorld
beforeEach(async () => {
  world = await cliWorld()
})
afterEach(() => world.close())

/** Every command that reads or acts, on the messages 1 to 6. */
const COMMANDS: readonly (readonly string[])[] = [
  ['migrate', '--status'],
  ['status'],
  ['dead-letters', 'list'],
  ['dead-letters', 'groups'],
  ['dead-letters', 'show', id(1)],
  ['dead-letters', 'show', id(2)],
  ['dead-letters', 'show', id(3)],
  ['dead-letters', 'edit', id(1), '--payload', '{"sku":"b","card":{"number":"•••"}}'],
  ['dead-letters', 'edit', id(1), '--payload', '{"cart":{"number":"•••"}}'],
  ['dead-letters', 'edit', id(3), '--payload', '{}'],
  ['dead-letters', 'show', id(1)],
  ['dead-letters', 'discard', '--all', '--dry-run'],
  ['dead-letters', 'discard', '--all'],
  ['dead-letters', 'replay', id(1)],
  ['dead-letters', 'discard', id(2), '--yes'],
  ['half', 'list'],
  ['half', 'decide', id(4), 'commit'],
  ['half', 'decide', id(5), 'rollback', '--yes'],
  ['outbox', 'list'],
  ['outbox', 'retry', id(6)],
  ['trace', id(1)],
  ['trace', id(4)],
  ['audit'],
  ['no-such-command'],
]

async function runAll(): Promise<readonly (Result & { args: string })[]> {
  const results: (Result & { args: string })[] = []
  for (const args of COMMANDS) {
    for (const more of [['--json'], ['--verbose'], []]) {
      for (const person of [{}, { answer: 'n', edit: (text: string) => text, columns: 100, env: { NO_COLOR: '1' } }]) {
        const all = [...args, ...more]
        results.push({ args: all.join(' '), ...(await world.tandemWith(person, ...all)) })
      }
    }
  }
  // Without these, nothing was seen.
  const texts = results.map(({ stdout }) => stdout).join('')
  for (const wanted of [1, 2, 3, 4, 5, 6]) expect(texts).toContain(id(wanted))
  return results
}

async function seed(sent: Omit<Sent, 'id'>, error: string): Promise<void> {
  const broken = new TextEncoder().encode(`{"card": {"number": "${SECRET}`)
  await dead(world.stock, 'stock', { ...sent, id: id(1) }, { error })
  await dead(world.stock, 'stock', { ...sent, id: id(2), body: broken }, { error, reason: 'undecodable' })
  await dead(world.stock, 'stock', { ...sent, id: id(3), contentType: 'text/plain' }, { error })
  await undecided(world.order, { ...sent, id: id(4) })
  await prepared(world.order, { ...sent, id: id(5) })
  await held(world.order, { ...sent, id: id(6) }, 'unsendable', error)
  await handled(world.stock, 'other', { ...sent, id: id(1) })
}

test('a secret is in no output of any command', async () => {
  const payload = { sku: 'a', card: { number: SECRET } }
  await seed({ payload, sensitive: ['card.number'] }, 'Error: card ••• was declined')
  for (const { args, stdout, stderr } of await runAll()) {
    expect({ args, leaks: `${stdout}${stderr}`.includes(SECRET) }).toEqual({ args, leaks: false })
  }
  const detail = await world.stock.admin.deadLetter({ group: 'stock', id: id(3) })
  // The check above can fail: the secret is there to be leaked.
  expect(new TextDecoder().decode(detail!.body)).toContain(SECRET)
})

describe('control characters', () => {
  const NASTY = '\u001b[2J\u009b1A\u0007\r\u202egnp\u2028'

  test('reach no terminal', async () => {
    const payload = { [NASTY]: NASTY }
    await seed({ payload, headers: { tenant: NASTY }, source: `order${NASTY}` }, `Error: ${NASTY}\n${NASTY}`)
    for (const { args, stdout, stderr } of await runAll()) {
      // The line of progress is the command's own.
      const others = stderr.replace(/\r\d+ of \d+; Ctrl-C stops before the next/, '').replace('\r\u001b[K', '')
      // eslint-disable-next-line no-control-regex -- control characters are just what this looks for
      const raw = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/.exec(`${stdout}${others}`)
      expect({ args, raw: raw?.[0] }).toEqual({ args, raw: undefined })
    }
  })

  test('of an unknown command reach none either', async () => {
    const { stderr } = await world.tandem(`no${NASTY}`)
    expect(stderr).not.toContain('\u001b')
  })
})

test('--json is one document, whatever happens', async () => {
  await seed({ payload: { a: 1 } }, 'Error: boom')
  for (const { args, code, stdout } of await runAll()) {
    if (!args.includes('--json')) continue
    const document = JSON.parse(stdout) as { error?: unknown }
    // An act that did not do what was asked tells how it went instead.
    if (code === 2) expect({ args, document }).toEqual({ args, document: { error: expect.anything() as unknown } })
    if (code === 0) expect(document).not.toHaveProperty('error.code')
  }
})

describe('colour', () => {
  beforeEach(() => dead(world.stock, 'stock', { id: id(1) }, { error: `Error: ${'x'.repeat(200)}` }))

  test('on a terminal', async () => {
    const { stdout } = await world.tandemWith({ columns: 120 }, 'dead-letters', 'list')
    expect(stdout).toContain('\u001b[2m')
  })

  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('not with %j', async (env) => {
    const { stdout } = await world.tandemWith({ columns: 200, env }, 'dead-letters', 'list')
    expect(stdout).not.toContain('\u001b')
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBe(200)
  })

  test('not in a file, and nothing is cut there', async () => {
    const { stdout } = await world.tandem('dead-letters', 'list')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).toContain('x'.repeat(200))
  })
})
