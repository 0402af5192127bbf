// What becomes of a message whose handler fails, or takes too long.
import { describe, expect, test } from 'vitest'
import { DoNotRetry, message, type ConsumeOptions, type Handler } from '../../../src/index.ts'
import { until } from '../../support/clock.ts'
import { effect, effects, failedAttempts, inboxStates, running, written, type Service } from '../../support/facade.ts'
import type { Tx } from '../../support/store.ts'

const Placed = message<{ n: number }>('placed')
const Replied = message<{ n: number }>('replied')

const consuming = (handler: Handler<Tx, { n: number }>, options?: ConsumeOptions): Promise<Service & AsyncDisposable> =>
  running((tandem) => tandem.consume(Placed, handler, options))

describe('a handler that fails', () => {
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- handlers do
  const rejected = (reason: unknown): Promise<never> => new Promise((_resolve, reject) => reject(reason))
  const thrownValues: [string, () => unknown, RegExp][] = [
    [
      'throws at once',
      () => {
        throw new TypeError('no')
      },
      /^TypeError: no$/,
    ],
    ['rejects with an error', () => Promise.reject(new Error('no')), /^Error: no$/],
    ['rejects with undefined', () => rejected(undefined), /^thrown value: undefined$/],
    ['rejects with null', () => rejected(null), /^thrown value: null$/],
    ['rejects with a string', () => rejected('no'), /^no$/],
    ['rejects with a frozen error', () => Promise.reject(Object.freeze(new Error('cold'))), /^Error: cold$/],
    ['rejects with an object', () => rejected({ code: 5 }), /^thrown value: { code: 5 }$/],
    [
      'rejects with what cannot be shown',
      () =>
        Promise.reject(
          Object.defineProperty(new Error('x'), 'message', {
            get: () => {
              throw new Error('y')
            },
          }),
        ),
      /cannot be shown/,
    ],
    [
      'rejects with an error whose stack is no text',
      () => Promise.reject(Object.assign(new Error('no'), { stack: 5 })),
      /^Error: no$/,
    ],
  ]
  test.each(thrownValues)('because it %s is undone and tried again', async (_name, fail, error) => {
    await using kit = await consuming(
      async ({ n }, { tx, attempt, send }) => {
        effect(tx, n, `attempt ${attempt}`)
        await send(Replied({ n }))
        if (attempt < 3) await fail()
      },
      { retry: { delays: [0, 1] } },
    )
    await kit.send(Placed({ n: 1 }))
    expect((await kit.reached('message.handled')).attempt).toBe(3)
    expect(effects(kit.db)).toEqual([{ n: 1, note: 'attempt 3' }])
    expect(kit.of('message.failed').map(({ attempt, delay }) => [attempt, delay])).toEqual([
      [1, 0],
      [2, expect.any(Number)],
    ])
    for (const failed of kit.of('message.failed')) expect(failed.error).toMatch(error)
    expect(failedAttempts(kit.db).map(({ attempt }) => attempt)).toEqual([1, 2])
    expect(inboxStates(kit.db)).toEqual(['handled'])
    // Once: what the failed attempts sent is gone with them.
    await kit.reached('message.published', 2)
    await until(() => !('outbox' in written(kit.db)))
    expect(kit.of('message.published').filter(({ type }) => type === 'replied')).toHaveLength(1)
  })

  test('every time is dead after the last attempt that the policy allows, with its history', async () => {
    await using kit = await consuming(
      ({ n }, { tx, attempt }) => {
        effect(tx, n)
        throw new Error(`attempt ${attempt}`, { cause: new Error('below') })
      },
      { retry: { maxAttempts: 3, delays: [0] } },
    )
    await kit.send(Placed({ n: 1 }))
    const dead = await kit.reached('message.dead')
    expect(dead).toMatchObject({ attempt: 3, reason: 'attempts-exhausted', error: 'Error: attempt 3' })
    expect(failedAttempts(kit.db).map(({ error }) => error)).toEqual([
      'Error: attempt 1',
      'Error: attempt 2',
      'Error: attempt 3',
    ])
    expect(failedAttempts(kit.db)[0]?.stack).toMatch(/handler-failures\.test\.ts[\s\S]*Caused by: Error: below/)
    expect([inboxStates(kit.db), effects(kit.db)]).toEqual([['dead'], []])
    expect(kit.log).toEqual([expect.stringMatching(/^tandem\[order\] group order: placed \S+ is dead after attempt 3/)])
  })

  test('with DoNotRetry is dead at once', async () => {
    await using kit = await consuming(() => {
      throw new DoNotRetry('the account was closed')
    })
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.dead')).toMatchObject({ attempt: 1, reason: 'not-retryable' })
  })

  test('is dead as soon as retryIf says no', async () => {
    const asked: [string, number][] = []
    const retryIf = (error: unknown, attempt: number): boolean => {
      asked.push([(error as Error).message, attempt])
      return attempt < 2
    }
    await using kit = await consuming(
      () => {
        throw new Error('no')
      },
      { retry: { delays: [0], retryIf } },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.dead')).toMatchObject({ attempt: 2, reason: 'not-retryable' })
    expect(asked).toEqual([
      ['no', 1],
      ['no', 2],
    ])
  })

  test('with a retryIf that throws is retried to the end of its attempts', async () => {
    const retryIf = (): boolean => {
      throw new Error('in retryIf')
    }
    await using kit = await consuming(
      () => {
        throw new Error('no')
      },
      { retry: { maxAttempts: 2, delays: [0], retryIf } },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.dead')).toMatchObject({ attempt: 2, reason: 'attempts-exhausted' })
    expect(kit.of('loop.failed')).toEqual([])
  })

  test('keeps no secret of the payload in its history', async () => {
    const Secret = message<{ card: { number: string } }>('secret', { sensitive: ['card.number'] })
    await using kit = await running((tandem) =>
      tandem.consume(Secret, (payload) => {
        throw new DoNotRetry(`cannot charge ${payload.card.number}: ${JSON.stringify(payload)}`)
      }),
    )
    await kit.send(Secret({ card: { number: '4111-1111\n"x"' } }))
    const { error } = await kit.reached('message.dead')
    expect(error).toContain('cannot charge •••')
    expect(JSON.stringify([error, failedAttempts(kit.db), kit.log])).not.toContain('4111')
  })

  test('does not hold up other messages', async () => {
    await using kit = await consuming(
      ({ n }, { tx }) => {
        if (n === 1) throw new Error('no')
        effect(tx, n)
      },
      { retry: { delays: [100_000] } },
    )
    await kit.send([1, 2, 3].map((n) => Placed({ n }, { key: 'same' })))
    await kit.reached('message.handled', 2)
    expect(effects(kit.db).map(({ n }) => n)).toEqual([2, 3])
    expect(inboxStates(kit.db)).toContain('retrying')
  })
})

describe('a handler that takes too long', () => {
  test('is told, its transaction is rolled back, and what it writes later is refused', async () => {
    const late = Promise.withResolvers<unknown[]>()
    await using kit = await consuming(
      async ({ n }, { tx, signal, send, attempt }) => {
        if (attempt > 1) return
        effect(tx, n, 'in time')
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        const reason: unknown = signal.reason
        await until(() => !tx.isTransaction)
        const failures: unknown[] = [reason]
        try {
          effect(tx, n, 'late')
        } catch (error) {
          failures.push(error)
        }
        failures.push(await send(Replied({ n })).catch((error: unknown) => error))
        late.resolve(failures)
      },
      { timeout: 5, retry: { delays: [0] } },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.failed')).toMatchObject({
      error: expect.stringMatching(/longer than its 5 ms/) as string,
    })
    expect(await late.promise).toMatchObject([
      { code: 'HANDLER_TIMEOUT' },
      { code: 'TRANSACTION_ENDED' },
      { code: 'TRANSACTION_ENDED' },
    ])
    await kit.reached('message.handled')
    expect(effects(kit.db)).toEqual([])
    expect(written(kit.db)).not.toHaveProperty('outbox')
  })

  test('may say something better when it is told', async () => {
    await using kit = await consuming(
      async (_payload, { signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw new DoNotRetry('the partner never answers')
      },
      { timeout: 5 },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.dead')).toMatchObject({ error: 'DoNotRetry: the partner never answers' })
  })

  test('and rejects after that leaves no unhandled rejection', async () => {
    const rejected = Promise.withResolvers<void>()
    await using kit = await consuming(
      async (_payload, { tx }) => {
        await until(() => !tx.isTransaction)
        queueMicrotask(rejected.resolve)
        throw new Error('much too late')
      },
      { timeout: 5, retry: { maxAttempts: 1 } },
    )
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.dead')
    await rejected.promise
  })
})

test('a handler that finds no room in the database is not to blame: nothing is counted, and it goes on when there is room', async () => {
  await using kit = await consuming(({ n }, { tx }) => effect(tx, n, 'x'.repeat(400_000)))
  const { page_count: pages } = kit.db.prepare('PRAGMA page_count').get() as { page_count: number }
  // Room for the row of an attempt, and not for what the handler writes.
  kit.db.exec(`PRAGMA max_page_count = ${pages + 20}`)
  await kit.send(Placed({ n: 1 }))
  expect((await kit.reached('loop.failed')).error).toMatchObject({ code: 'STORE_FULL' })
  kit.db.exec(`PRAGMA max_page_count = ${pages + 1000}`)
  expect((await kit.reached('message.handled')).attempt).toBe(1)
  expect(kit.of('message.failed')).toEqual([])
  expect(effects(kit.db)).toHaveLength(1)
})
