// Each command on real databases, in this process. The shapes of --json are a promise: a change of a snapshot is a change of it.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  dead,
  handled,
  held,
  id,
  messageOf,
  prepared,
  undecided,
  unsent,
} from '../../../tandem/test/unit/admin/world.ts'
import { call, CONFIG, cliWorld, containing, matching, type CliWorld } from './harness.ts'

let world: CliWorld
beforeEach(async () => {
  world = await cliWorld()
})
afterEach(() => world.close())

async function json(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await world.tandem(...args, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

async function text(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await world.tandem(...args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

describe('migrate', () => {
  test('says what is pending, prints it, applies it', async () => {
    const fresh = await cliWorld({ migrated: false })
    try {
      const status = await fresh.tandem('migrate', '--status', '--service', 'order')
      expect(status).toMatchObject({
        code: 0,
        stdout: matching(/^order {2}schema 0 of \d+.*\n {2}pending 1 /),
      })
      const sql = await fresh.tandem('migrate', '--sql', '--service', 'order')
      expect(sql.stdout).toMatch(/^-- order: 1 \w+\n[^]*CREATE TABLE tandem_outbox/)
      expect((await fresh.tandem('dead-letters', 'list')).code).toBe(1)
      const done = JSON.parse((await fresh.tandem('migrate', '--json')).stdout) as { services: object[] }
      expect(done.services).toMatchObject([
        { service: 'order', pending: [], applied: [{ version: 1 }] },
        { service: 'stock', pending: [], applied: [{ version: 1 }] },
      ])
      expect(done.services.map((service) => Object.keys(service))).toMatchSnapshot()
      expect((await fresh.tandem('migrate', '--service', 'order')).stdout).toMatch(
        /^order {2}was up to date, schema \d+\n$/,
      )
      expect((await fresh.tandem('migrate', '--sql', '--service', 'order')).stdout).toBe(
        '-- order: nothing is pending\n',
      )
      expect((await fresh.tandem('dead-letters', 'list')).code).toBe(0)
    } finally {
      await fresh.close()
    }
  })

  test('--status excludes --sql and --to', async () => {
    expect(await world.tandem('migrate', '--status', '--sql')).toMatchObject({ code: 2, stdout: '' })
    expect(await world.tandem('migrate', '--status', '--to', '1')).toMatchObject({ code: 2, stdout: '' })
  })

  test('--to comes to a version, and never goes back', async () => {
    const fresh = await cliWorld({ migrated: false })
    try {
      const sql = await fresh.tandem('migrate', '--sql', '--to', '1', '--service', 'order')
      expect(sql.stdout).toMatch(/^-- order: 1 tandem\n/)
      const beyond = await fresh.tandem('migrate', '--to', '9999')
      expect(beyond).toMatchObject({ code: 1, stdout: '' })
      expect(beyond.stderr).toMatch(/order cannot be migrated to 9999: .*knows 1 to .*Nothing was changed/)
      expect(await fresh.tandem('migrate', '--sql', '--to', '9999')).toMatchObject({ code: 2, stdout: '' })
      expect(await fresh.tandem('migrate', '--to', '0')).toMatchObject({ code: 2, stdout: '' })
      const done = await fresh.tandem('migrate', '--to', '1', '--json')
      expect(JSON.parse(done.stdout)).toMatchObject({
        services: [{ applied: [{ version: 1 }] }, { applied: [{ version: 1 }] }],
      })
      expect((await fresh.tandem('migrate', '--to', '1')).stdout).toMatch(/order {2}was up to date, schema 1/)
    } finally {
      await fresh.close()
    }
  })
})

describe('status', () => {
  beforeEach(async () => {
    await unsent(world.order, { id: id(1) })
    await held(world.order, { id: id(2) }, 'unsendable')
    await undecided(world.order, { id: id(3) })
    await handled(world.stock, 'stock', { id: id(4) })
    await dead(world.stock, 'stock', { id: id(5), key: 'k' }, { ordered: true })
  })

  test('for a person', async () => {
    expect(await text('status')).toMatchSnapshot()
  })

  test('for a program', async () => {
    expect(await json('status')).toMatchSnapshot()
  })

  test('of a database that is not there', async () => {
    process.env['TANDEM_TEST_FOLDER'] = `${world.folder}/no-such-folder`
    const { code, stdout } = await world.tandem('status')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^order .*\n.*\(STORE_UNAVAILABLE\)\n/)
  })
})

describe('dead-letters', () => {
  beforeEach(async () => {
    await dead(world.stock, 'stock', { id: id(1), key: 'o-1', ago: 30_000 }, { error: 'Error: timeout' })
    await dead(
      world.stock,
      'stock',
      { id: id(2), key: 'o-2', ago: 20_000 },
      { error: 'Error: timeout\nof the upstream' },
    )
    await dead(world.order, 'order', { id: id(3), type: 'payments.declined', ago: 10_000 }, { reason: 'type-unknown' })
  })

  test('list, for a person', async () => {
    expect(await text('dead-letters', 'list')).toMatchSnapshot()
  })

  test('list, for a program', async () => {
    expect(await json('dead-letters', 'list')).toMatchSnapshot()
    expect(await json('dead-letters', 'list', '--dead-reason', 'type-unknown')).toMatchObject({
      items: [{ id: id(3) }],
    })
    expect(await json('dead-letters', 'list', '--key', 'o-2')).toMatchObject({ items: [{ id: id(2) }] })
    expect(await json('dead-letters', 'list', '--key', 'o-9')).toEqual({ items: [], next: null })
  })

  test('list, page by page', async () => {
    const first = await world.tandem('dead-letters', 'list', '--limit', '2')
    const cursor = /^There is more: --cursor (\S+)\n$/.exec(first.stderr)?.[1]
    expect(cursor).toBeDefined()
    const second = await world.tandem('dead-letters', 'list', '--limit', '2', '--cursor', cursor!)
    expect(second.stderr).toBe('')
    const rows = [first, second].flatMap(({ stdout }) => stdout.trimEnd().split('\n').slice(1))
    expect(rows.flatMap((row) => /01930000\S+/.exec(row) ?? []).toSorted()).toEqual([1, 2, 3].map(id))
  })

  test('groups', async () => {
    expect(await text('dead-letters', 'groups')).toMatchSnapshot()
    expect(await json('dead-letters', 'groups')).toMatchSnapshot()
  })

  test('show', async () => {
    expect(await text('dead-letters', 'show', id(2))).toMatchSnapshot()
    expect(await json('dead-letters', 'show', id(2))).toMatchSnapshot()
  })

  test('show needs the group where several have the message', async () => {
    await dead(world.stock, 'billing', { id: id(1) })
    const { code, stderr } = await world.tandem('dead-letters', 'show', id(1))
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: matching(/several groups.*--group.*\(CONFLICT\)/),
    })
    expect(await json('dead-letters', 'show', id(1), '--group', 'billing')).toMatchObject({ group: 'billing' })
    expect(await json('dead-letters', 'show', id(1), '--group', 'stock', '--service', 'stock')).toMatchObject({
      group: 'stock',
    })
  })

  test('edit takes the payload from an option, a file, the input or an editor', async () => {
    const { tandemWith } = world
    const args = ['dead-letters', 'edit', id(1)]
    expect(await json(...args, '--payload', '{"n":1}')).toMatchObject({ payload: { value: { n: 1 } } })
    await tandemWith({ input: '{"n":2}' }, ...args, '--file', '-')
    expect(await json('dead-letters', 'show', id(1))).toMatchObject({ payload: { value: { n: 2 } } })
    const { stdout } = await tandemWith({ edit: (before) => before.replace('2', '3') }, ...args)
    expect(stdout).toBe(
      `The payload of ${id(1)} in group stock of stock is replaced; the original is kept.\n` +
        `Replay it with: tandem dead-letters replay ${id(1)}\n`,
    )
    expect(await json('dead-letters', 'show', id(1))).toMatchObject({
      payload: { value: { n: 3 } },
      originalPayload: { value: { orderId: 'o-1' } },
    })
    expect(await tandemWith({ edit: (before) => before }, ...args)).toMatchObject({ code: 1, stdout: '' })
    expect(await world.tandem(...args)).toMatchObject({
      code: 2,
      stderr: containing('--payload or --file'),
    })
    expect(await world.tandem(...args, '--file', '/no/such')).toMatchObject({
      code: 2,
      stderr: containing('ENOENT'),
    })
    expect(await world.tandem(...args, '--payload', '{')).toMatchObject({
      code: 1,
      stderr: containing('not JSON'),
    })
  })

  test('replay of ids asks nothing', async () => {
    expect(await json('dead-letters', 'replay', id(1), id(2), '--reason', 'mended')).toMatchSnapshot()
    expect(await world.stock.inbox.state('stock', id(1))).toBe('retrying')
    expect(await json('audit')).toMatchObject({
      items: [
        { action: 'dead-letter.replay', by: 'kim', reason: 'mended' },
        { action: 'dead-letter.replay', by: 'kim', reason: 'mended' },
      ],
    })
  })

  test('replay of what is not dead fails and says what it is', async () => {
    await text('dead-letters', 'replay', id(1))
    const { code, stdout } = await world.tandem('dead-letters', 'replay', id(1), id(2))
    expect({ code, stdout }).toMatchInlineSnapshot(`
      {
        "code": 1,
        "stdout": "1 not-dead, 1 replayed
      MESSAGE                                     OUTCOME   WHY
      01930000-0000-7000-8000-000000000001 stock  not-dead  it is retrying
      ",
      }
    `)
    expect(await world.tandem('dead-letters', 'replay', id(9))).toMatchObject({ code: 1, stdout: '' })
  })

  test('replay of a filter asks first, and acts on what it showed', async () => {
    const args = ['dead-letters', 'replay', '--error', 'timeout']
    const alone = await world.tandem(...args)
    expect(alone).toMatchObject({ code: 2, stdout: '', stderr: containing('add --yes') })
    const no = await world.tandemWith({ answer: 'n' }, ...args)
    expect(no).toMatchObject({ code: 1, stdout: '' })
    expect(no.stderr).toMatchInlineSnapshot(`
      "2 dead letters will be handled again.
        01930000-0000-7000-8000-000000000001 orders.placed in group stock of stock: Error: timeout
        01930000-0000-7000-8000-000000000002 orders.placed in group stock of stock: Error: timeout\\nof the upstream
      Go on? [y/N] tandem: nothing was done
      "
    `)
    expect(await world.stock.inbox.state('stock', id(1))).toBe('dead')
    expect(await world.tandemWith({ answer: 'y' }, ...args)).toMatchObject({ code: 0, stdout: '2 replayed\n' })
    expect(await world.tandem(...args, '--yes')).toMatchObject({ code: 0, stdout: 'No dead letter matches.\n' })
  })

  test('progress is shown on a terminal', async () => {
    const args = ['dead-letters', 'replay', id(1), id(2)]
    const { stderr } = await world.tandemWith({ columns: 100 }, ...args)
    expect(stderr).toBe('\r1 of 2; Ctrl-C stops before the next\r\u001b[K')
  })

  test('a dry run asks nothing and changes nothing', async () => {
    expect(await json('dead-letters', 'discard', '--all', '--dry-run')).toMatchSnapshot()
    expect(await text('dead-letters', 'discard', '--all', '--dry-run')).toContain('3 would-discard')
    expect(await world.stock.inbox.state('stock', id(1))).toBe('dead')
  })

  test('discard asks always, and shows no more than a few', async () => {
    for (let n = 11; n < 20; n++) await dead(world.stock, 'stock', { id: id(n) })
    const asked = await world.tandemWith({ answer: '' }, 'dead-letters', 'discard', '--group', 'stock')
    expect(asked.stderr).toMatch(/^11 dead letters will never be handled\.\n(?: {2}0193.*\n){5} {2}… and 6 more\n/)
    expect(await world.tandem('dead-letters', 'discard', id(1))).toMatchObject({ code: 2 })
    expect(await text('dead-letters', 'discard', id(1), '--yes')).toBe('1 discarded\n')
    expect(await world.stock.inbox.state('stock', id(1))).toBe('discarded')
  })

  test.each([
    [['replay']],
    [['discard', '--yes']],
    [['discard', '--service', 'stock', '--yes']],
    [['replay', id(1), '--type', 'orders.placed']],
    [['replay', id(1), '--all']],
    [['replay', '--all', '--rate', '0']],
    [['list', '--limit', '0']],
    [['list', '--limit', 'many']],
    [['list', '--dead-reason', 'fate']],
    [['show']],
    [['show', id(1), id(2)]],
    [['list', '--no-such-option']],
    [['no-such-command']],
    [[]],
  ])('%j is wrong usage', async (args) => {
    const { code, stdout, stderr } = await world.tandem('dead-letters', ...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toBe('')
    expect(await world.stock.inbox.state('stock', id(1))).toBe('dead')
  })
})

describe('half', () => {
  beforeEach(async () => {
    await undecided(world.order, { id: id(1), key: 'o-1' })
    await prepared(world.order, { id: id(2) }, { barrier: true })
  })

  test('list', async () => {
    expect(await text('half', 'list')).toMatchSnapshot()
    expect(await json('half', 'list', '--state', 'undecided')).toMatchSnapshot()
  })

  test('a commit asks nothing', async () => {
    expect(await json('half', 'decide', id(1), 'commit')).toMatchSnapshot()
    expect(await text('half', 'decide', id(1), 'commit')).toBe(`order: half message ${id(1)} was already committed.\n`)
  })

  test('a rollback asks first', async () => {
    const no = await world.tandemWith({ answer: 'no' }, 'half', 'decide', id(1), 'rollback')
    expect(no).toMatchObject({ code: 1, stdout: '', stderr: containing('orders.placed, undecided') })
    expect(await world.tandem('half', 'decide', id(1), 'rollback')).toMatchObject({ code: 2, stdout: '' })
    expect(await text('half', 'decide', id(1), 'rollback', '--yes')).toBe(
      `order: half message ${id(1)} is now rolled-back.\n`,
    )
  })

  test('one that the barrier contradicts, one that was decided otherwise, one that is not there', async () => {
    expect(await world.tandem('half', 'decide', id(2), 'commit')).toMatchObject({
      code: 1,
      stderr: containing('(CONFLICT)'),
    })
    await text('half', 'decide', id(1), 'commit')
    const late = await world.tandem('half', 'decide', id(1), 'rollback', '--yes')
    expect(late).toMatchObject({ code: 1, stdout: '', stderr: containing('(HALF_DECIDED)') })
    expect(await world.tandem('half', 'decide', id(9), 'commit', '--json')).toMatchObject({
      code: 1,
      stdout: containing('"code": "NOT_FOUND"'),
    })
    expect(await world.tandem('half', 'decide', id(1), 'unknown')).toMatchObject({ code: 2 })
  })
})

test('outbox', async () => {
  await held(world.order, { id: id(1), key: 'k' }, 'unsendable', 'too large')
  await held(world.order, { id: id(2) }, 'unsendable', 'forbidden')
  await held(world.stock, { id: id(3) }, 'waiting', 'no route')
  expect(await text('outbox', 'list')).toMatchSnapshot()
  expect(await json('outbox', 'list', '--state', 'unsendable')).toMatchSnapshot()
  expect(await json('outbox', 'retry', id(1))).toMatchSnapshot()
  expect(await world.tandem('outbox', 'discard', id(2))).toMatchObject({ code: 2, stdout: '' })
  expect(await json('outbox', 'discard', id(2), '--yes')).toMatchObject({ results: [{ outcome: 'discarded' }] })
  expect(await world.tandem('outbox', 'discard', id(3), '--yes')).toMatchObject({
    code: 1,
    stdout: containing('1 not-held'),
  })
})

test('trace', async () => {
  const placed = messageOf({ id: id(1), key: 'o-1', ago: 5000 })
  await handled(world.stock, 'stock', { id: id(1), key: 'o-1', ago: 5000 })
  await dead(world.stock, 'billing', { id: id(1), key: 'o-1', ago: 5000 }, { error: 'Error: declined\nby the bank' })
  const reserved = { type: 'stock.reserved', source: 'stock', causationId: placed.id }
  await handled(world.order, 'order', { ...reserved, id: id(2), ago: 4000 })
  await unsent(world.order, { id: id(3), type: 'orders.completed', causationId: id(2), ago: 3000 })
  await held(world.stock, { ...reserved, id: id(4), ago: 2000 }, 'unsendable', 'too large')
  expect(await text('trace', id(1))).toMatchSnapshot()
  expect(await json('trace', id(1))).toMatchSnapshot()
  expect(await text('trace', id(2))).toMatch(new RegExp(`^caused by ${id(1)}\n`))
  expect(await world.tandem('trace', id(9))).toMatchObject({ code: 1, stdout: '' })
})

test('audit', async () => {
  await undecided(world.order, { id: id(1) })
  await dead(world.stock, 'stock', { id: id(2) })
  await text('half', 'decide', id(1), 'commit', '--by', 'lee', '--reason', 'seen in the books')
  expect(await text('audit', '--service', 'order')).toMatchSnapshot()
  await text('dead-letters', 'discard', id(2), '--yes')
  expect(await json('audit', '--service', 'stock')).toMatchSnapshot()
})

describe('help', () => {
  const commands = [
    [],
    ['migrate'],
    ['status'],
    ['dead-letters'],
    ...['list', 'groups', 'show', 'edit', 'replay', 'discard'].map((name) => ['dead-letters', name]),
    ['half'],
    ['half', 'list'],
    ['half', 'decide'],
    ['outbox'],
    ...['list', 'retry', 'discard'].map((name) => ['outbox', name]),
    ['trace'],
    ['audit'],
  ]
  test.each(commands.map((command) => [command.join(' ')]))('tandem %s --help', async (command) => {
    const args = command.split(' ').filter((part) => part !== '')
    const { code, stdout, stderr } = await call([...args, '--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`Usage: tandem ${command}`.trimEnd())
    const isGroup = ['', 'dead-letters', 'half', 'outbox'].includes(command)
    if (!isGroup || command === '') expect(stdout).toMatch(/\nExamples:\n {2}# \S.*\n {2}tandem \S/)
    if (!isGroup)
      for (const option of ['--json', '--config', '--service', '--verbose']) expect(stdout).toContain(option)
  })

  test('--version', async () => {
    expect(await call(['--version'])).toMatchObject({ code: 0, stdout: matching(/^\d+\.\d+\.\d+\n$/) })
  })

  test('wrong usage is one document with --json as well', async () => {
    const { code, stdout } = await call(['dead-letters', 'list', '--limit', '0', '--json', '--config', CONFIG])
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE' } })
  })
})
