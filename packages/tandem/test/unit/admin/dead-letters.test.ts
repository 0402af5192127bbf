import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAdmin } from '../../../src/admin/index.ts'
import { onCrashPoint } from '../../../src/core/crash-points.ts'
import { TandemError } from '../../../src/core/errors.ts'
import { ACT, dead, emptyWorld, handled, id, messageOf, NOW, SECRET, type TestStore, type World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await emptyWorld()
})
afterEach(async () => {
  onCrashPoint(undefined)
  await world.close()
})

const ref = (n: number, service = 'stock'): { service: string; group: string; id: string } => {
  return { service, group: service, id: id(n) }
}

async function seed(store: TestStore, group: string, from: number, count: number, error?: string): Promise<void> {
  for (let n = from; n < from + count; n++) {
    await dead(store, group, { id: id(n), ago: 10_000 - n }, error === undefined ? {} : { error })
  }
}

describe('list', () => {
  test('goes over all services page by page, each dead letter once', async () => {
    await seed(world.stock, 'stock', 1, 5)
    await seed(world.order, 'order', 11, 4)
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await world.admin.deadLetters.list({}, { limit: 2, cursor })
      seen.push(...page.items.map((item) => item.id))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    expect(seen.toSorted()).toEqual([1, 2, 3, 4, 5, 11, 12, 13, 14].map(id))
  })

  test('shows plain data', async () => {
    await dead(world.stock, 'stock', { id: id(1), key: 'o-1', ago: 60_000 })
    const page = await world.admin.deadLetters.list()
    expect(JSON.parse(JSON.stringify(page))).toEqual(page)
    expect(page).toMatchInlineSnapshot(`
      {
        "items": [
          {
            "attempts": 1,
            "blocking": 0,
            "diedAt": "2026-03-01T12:00:00.000Z",
            "error": "Error: boom",
            "group": "stock",
            "id": "01930000-0000-7000-8000-000000000001",
            "key": "o-1",
            "reason": "attempts-exhausted",
            "sentAt": "2026-03-01T11:59:00.000Z",
            "service": "stock",
            "source": "order",
            "topic": "orders.placed",
            "type": "orders.placed",
          },
        ],
        "next": null,
      }
    `)
  })

  test.each([
    [{ typo: 'x' }, 'OPTION_UNKNOWN'],
    [{ type: '' }, 'CONFIG_INVALID'],
    [{ reason: 'bad luck' }, 'CONFIG_INVALID'],
    [{ service: 'shipping' }, 'NOT_FOUND'],
  ])('refuses the filter %j', async (filter, code) => {
    await expect(world.admin.deadLetters.list(filter as object)).rejects.toMatchObject({ code })
  })

  test.each(['x', Buffer.from('[1]').toString('base64url')])('refuses the cursor %j', async (cursor) => {
    await expect(world.admin.deadLetters.list({}, { cursor })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('show', () => {
  test('has the decoded payload and every attempt', async () => {
    const payload = { orderId: 'o-1', card: SECRET }
    const error = `Error: ${SECRET} declined`
    await dead(world.stock, 'stock', { id: id(1), payload, sensitive: ['card'], headers: { tenant: 't' } }, { error })
    const detail = await world.admin.deadLetters.show(ref(1))
    expect(detail).toMatchObject({
      error: 'Error: ••• declined',
      payload: { kind: 'json', value: { orderId: 'o-1', card: '•••' }, masked: ['card'] },
      originalPayload: null,
      history: [{ attempt: 1, at: '2026-03-01T12:00:00.000Z', error: 'Error: ••• declined', process: 'host:1' }],
    })
    expect(detail.headers).toMatchObject({ tenant: 't', 'ce-id': id(1) })
    expect(JSON.stringify(detail)).not.toContain(SECRET)
  })

  test('finds the service by itself', async () => {
    await dead(world.stock, 'stock', { id: id(1) })
    expect(await world.admin.deadLetters.show({ group: 'stock', id: id(1) })).toMatchObject({ service: 'stock' })
  })

  test('says what a message is when it is not dead', async () => {
    await handled(world.stock, 'stock', { id: id(1) })
    await expect(world.admin.deadLetters.show(ref(1))).rejects.toThrow(/is handled, not dead/)
    await expect(world.admin.deadLetters.show(ref(2))).rejects.toThrow(/is not known/)
    await expect(world.admin.deadLetters.show({ group: 'stock', id: id(2) })).rejects.toThrow(/no service has it/)
  })

  test('asks for the service when two have the message in a group of one name', async () => {
    await dead(world.stock, 'both', { id: id(1) })
    await dead(world.order, 'both', { id: id(1) })
    await expect(world.admin.deadLetters.show({ group: 'both', id: id(1) })).rejects.toThrow(
      expect.objectContaining({ code: 'CONFLICT' }),
    )
  })
})

describe('edit', () => {
  test('keeps the original and what is sensitive', async () => {
    const payload = { sku: 'wrong', card: SECRET }
    await dead(world.stock, 'stock', { id: id(1), payload, sensitive: ['card'] })
    const { edit } = world.admin.deadLetters
    const detail = await edit(ref(1), '{"sku": "right", "card": "•••"}', ACT)
    expect(detail).toMatchObject({
      payload: { value: { sku: 'right', card: '•••' } },
      originalPayload: { value: { sku: 'wrong', card: '•••' } },
    })
    await edit(ref(1), '{"sku": "better", "card": "•••"}', ACT)
    const row = await world.stock.admin.deadLetter(ref(1))
    expect(JSON.parse(new TextDecoder().decode(row!.body))).toEqual({ sku: 'better', card: SECRET })
    expect(JSON.parse(new TextDecoder().decode(row!.originalBody))).toEqual(payload)
    expect((await world.admin.audit()).items).toMatchObject([
      { action: 'dead-letter.edit', by: 'kim', reason: 'a test' },
      { action: 'dead-letter.edit' },
    ])
  })

  test('changes nothing that is not dead', async () => {
    await handled(world.stock, 'stock', { id: id(1) })
    await expect(world.admin.deadLetters.edit(ref(1), '{}', ACT)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('replay and discard', () => {
  test('replay answers for each', async () => {
    await seed(world.stock, 'stock', 1, 2)
    await handled(world.stock, 'stock', { id: id(3) })
    const report = await world.admin.deadLetters.replay({ refs: [ref(1), ref(1), ref(2), ref(3), ref(4)] }, ACT)
    expect(report).toEqual({
      action: 'replay',
      dryRun: false,
      results: [
        { ...ref(1), outcome: 'replayed', state: null },
        { ...ref(2), outcome: 'replayed', state: null },
        { ...ref(3), outcome: 'not-dead', state: 'handled' },
        { ...ref(4), outcome: 'not-found', state: null },
      ],
      stopped: null,
    })
    expect(await world.stock.inbox.state('stock', id(1))).toBe('retrying')
    const { due } = await world.stock.inbox.due(['stock'], 10)
    expect(due.map((message) => message.id)).toEqual([id(1), id(2)])
  })

  test('the second replay of the same finds it not dead', async () => {
    await seed(world.stock, 'stock', 1, 1)
    const reports = await Promise.all([1, 2, 3].map(() => world.admin.deadLetters.replay({ refs: [ref(1)] }, ACT)))
    const outcomes = reports.flatMap((report) => report.results.map(({ outcome }) => outcome))
    expect(outcomes.toSorted()).toEqual(['not-dead', 'not-dead', 'replayed'])
    expect((await world.admin.audit()).items).toHaveLength(1)
  })

  test('discard gives up, with who and why', async () => {
    await seed(world.stock, 'stock', 1, 1)
    const report = await world.admin.deadLetters.discard({ filter: { group: 'stock' } }, ACT)
    expect(report.results).toEqual([{ ...ref(1), outcome: 'discarded', state: null }])
    expect(await world.stock.inbox.state('stock', id(1))).toBe('discarded')
    expect((await world.admin.audit()).items).toMatchObject([
      { action: 'dead-letter.discard', by: 'kim', reason: 'a test' },
    ])
  })

  test('a filter takes what matches, over all pages and services, the oldest first', async () => {
    await seed(world.stock, 'stock', 1, 503)
    await seed(world.order, 'order', 2001, 2)
    await seed(world.stock, 'stock', 3001, 1, 'Error: other')
    const { results } = await world.admin.deadLetters.replay({ filter: { error: 'boom' } }, ACT)
    expect(results.map((result) => result.id)).toEqual([
      ...Array.from({ length: 503 }, (_, i) => id(i + 1)),
      id(2001),
      id(2002),
    ])
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['replayed']))
    expect((await world.admin.deadLetters.list()).items.map((item) => item.id)).toEqual([id(3001)])
  })

  test('what is dead only after the list was made is left alone', async () => {
    await seed(world.stock, 'stock', 1, 3)
    const late: Promise<void>[] = []
    const onResult = (): void => {
      // As if the first replayed message, and a new one, died at once.
      if (late.length === 0) late.push(dead(world.stock, 'stock', { id: id(9), ago: 0 }))
    }
    const { results } = await world.admin.deadLetters.replay({ filter: { group: 'stock' } }, ACT, { onResult })
    await Promise.all(late)
    expect(results.map((result) => result.id)).toEqual([id(1), id(2), id(3)])
    expect((await world.admin.deadLetters.list()).items.map((item) => item.id)).toEqual([id(9)])
  })

  test('a row of groups stands for its first line alone', async () => {
    await seed(world.stock, 'stock', 1, 2, 'Error: timeout')
    await seed(world.stock, 'stock', 3, 1, 'Error: timeout of the upstream')
    await seed(world.stock, 'stock', 4, 1, 'Error: timeout\nwith more to say')
    const rows = await world.admin.deadLetters.groups()
    expect(rows.map(({ error, count }) => [error, count])).toEqual([
      ['Error: timeout', 3],
      ['Error: timeout of the upstream', 1],
    ])
    const { results } = await world.admin.deadLetters.replay({ row: rows[0]! }, ACT)
    expect(results.map((result) => result.id)).toEqual([id(1), id(2), id(4)])
  })

  test.each([{}, { service: 'stock' }, { type: undefined }])('the empty filter %j needs all', async (filter) => {
    await seed(world.stock, 'stock', 1, 1)
    await expect(world.admin.deadLetters.discard({ filter }, ACT)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(await world.stock.inbox.state('stock', id(1))).toBe('dead')
    const { results } = await world.admin.deadLetters.discard({ filter, all: true }, ACT)
    expect(results).toHaveLength(1)
  })

  test('a dry run changes nothing', async () => {
    await seed(world.stock, 'stock', 1, 1)
    await handled(world.stock, 'stock', { id: id(2) })
    const report = await world.admin.deadLetters.discard({ refs: [ref(1), ref(2)] }, ACT, { dryRun: true })
    expect(report.results.map(({ outcome }) => outcome)).toEqual(['would-discard', 'not-dead'])
    expect(await world.stock.inbox.state('stock', id(1))).toBe('dead')
    expect((await world.admin.audit()).items).toEqual([])
  })

  test('a signal ends it between two messages', async () => {
    await seed(world.stock, 'stock', 1, 3)
    const controller = new AbortController()
    const report = await world.admin.deadLetters.replay({ filter: { group: 'stock' } }, ACT, {
      signal: controller.signal,
      onResult: () => controller.abort(),
    })
    expect(report.results.map(({ outcome }) => outcome)).toEqual(['replayed', 'not-tried', 'not-tried'])
    expect(report.stopped).toEqual({ code: 'ABORTED', message: 'stopped on request' })
  })

  test('the rate is kept', async () => {
    await seed(world.stock, 'stock', 1, 4)
    let now = 0
    const slept: number[] = []
    const clock = {
      now: () => NOW,
      monotonic: () => now,
      sleep: (ms: number) => {
        slept.push(ms)
        now += ms
        return Promise.resolve()
      },
    }
    const admin = createAdmin({ stores: [{ service: 'stock', store: world.stock }], clock })
    await admin.deadLetters.replay({ filter: { group: 'stock' } }, ACT, { rate: 20 })
    expect(slept).toEqual([50, 50, 50])
  })

  test('a store that fails midway ends it, and what was done is told', async () => {
    await seed(world.stock, 'stock', 1, 3)
    const { admin: steps } = world.stock
    let calls = 0
    const store = Object.create(world.stock, {
      admin: {
        value: {
          ...steps,
          replayDeadLetter: (...args: Parameters<typeof steps.replayDeadLetter>) => {
            calls += 1
            if (calls === 2) throw new TandemError('STORE_UNAVAILABLE', 'the disk is gone')
            return steps.replayDeadLetter(...args)
          },
        },
      },
    }) as TestStore
    const admin = createAdmin({ service: 'stock', store })
    const report = await admin.deadLetters.replay({ filter: { group: 'stock' } }, ACT)
    expect(report.results.map(({ outcome }) => outcome)).toEqual(['replayed', 'not-tried', 'not-tried'])
    expect(report.stopped).toEqual({ code: 'STORE_UNAVAILABLE', message: 'the disk is gone' })
  })

  test('a crash point stands behind each replay that is durable', async () => {
    await seed(world.stock, 'stock', 1, 1)
    const states: Promise<unknown>[] = []
    onCrashPoint((point) => {
      if (point === 'replay.requested') states.push(world.stock.inbox.state('stock', id(1)))
    })
    await world.admin.deadLetters.replay({ refs: [ref(1), ref(1)] }, ACT)
    await world.admin.deadLetters.replay({ refs: [ref(1)] }, ACT)
    expect(await Promise.all(states)).toEqual(['retrying'])
  })

  test.each([{ by: '' }, { by: ' ' }, {}, { by: 'kim', why: 'x' }])('the act %j is refused', async (act) => {
    await seed(world.stock, 'stock', 1, 1)
    await expect(world.admin.deadLetters.replay({ refs: [ref(1)] }, act as { by: string })).rejects.toThrow(TandemError)
    expect(await world.stock.inbox.state('stock', id(1))).toBe('dead')
  })

  test('a replay takes the message from its key, and its edited payload', async () => {
    await dead(world.stock, 'stock', { id: id(1), key: 'k' }, { ordered: true })
    await world.stock.inbox.block('stock', messageOf({ id: id(2), key: 'k', ago: 1 }))
    expect((await world.admin.deadLetters.list()).items).toMatchObject([{ blocking: 1 }])
    await world.admin.deadLetters.edit(ref(1), '{"fixed":true}', ACT)
    await world.admin.deadLetters.replay({ refs: [ref(1)] }, ACT)
    const { due } = await world.stock.inbox.due(['stock'], 10)
    expect(due.map((message) => [message.id, message.key, new TextDecoder().decode(message.body)])).toEqual([
      [id(1), 'k', '{"fixed":true}'],
    ])
    expect(await world.stock.inbox.state('stock', id(2))).toBe('blocked')
  })
})
