// What a handler is given, and what is committed when it succeeds.
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { message, type ConsumeOptions, type Handler, type Message } from '../../../src/index.ts'
import { effect, effects, inboxStates, running, written, type Service } from '../../support/facade.ts'
import type { Tx } from '../../support/store.ts'

const Placed = message<{ n: number }>('placed')
const Replied = message<{ n: number }>('replied')

const consuming = (handler: Handler<Tx, { n: number }>, options?: ConsumeOptions): Promise<Service & AsyncDisposable> =>
  running((tandem) => tandem.consume(Placed, handler, options))

describe('a handler that succeeds', () => {
  test('has its writes, its inbox row and what it sent committed together', async () => {
    await using kit = await consuming(async ({ n }, { tx, send }) => {
      effect(tx, n)
      await send(Replied({ n }))
      await send([Replied({ n: n + 1 }), Replied({ n: n + 2 })])
    })
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.published', 4)
    expect(effects(kit.db)).toEqual([{ n: 1, note: '' }])
    expect(inboxStates(kit.db)).toEqual(['handled'])
  })

  test('gets the message with all that belongs to it', async () => {
    let seen: { payload: unknown; message: Message; attempt: number } | undefined
    await using kit = await consuming((payload, context) => {
      seen = { payload, message: context.message, attempt: context.attempt }
    })
    await kit.send(Placed({ n: 1 }, { key: 'k', headers: { tenant: 't1' } }))
    const { id } = await kit.reached('message.handled')
    expect(seen).toMatchObject({ payload: { n: 1 }, attempt: 1 })
    expect(seen?.message).toMatchObject({
      id,
      type: 'placed',
      topic: 'placed',
      key: 'k',
      source: 'order',
      causationId: undefined,
      correlationId: id,
      headers: { tenant: 't1' },
      payload: { n: 1 },
    })
    expect(seen?.message.time).toBeInstanceOf(Date)
  })

  test('may be synchronous, and may return anything', async () => {
    await using kit = await consuming(() => 'ignored')
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.handled')
  })

  test('gets what the schema makes of the payload', async () => {
    const Typed = message('typed', {
      schema: z.object({ n: z.string().transform(Number), d: z.string().default('x') }),
    })
    const seen: unknown[] = []
    await using kit = await running((tandem) => tandem.consume(Typed, (payload) => void seen.push(payload)))
    await kit.send(Typed({ n: '5' }))
    await kit.reached('message.handled')
    expect(seen).toEqual([{ n: 5, d: 'x' }])
  })

  test('handles a copy of a message once', async () => {
    await using kit = await consuming(({ n }, { tx }) => effect(tx, n))
    await kit.send(Placed({ n: 1 }))
    const { id } = await kit.reached('message.handled')
    const copy = await kit.copyOf(id)
    await kit.publish(copy, copy)
    await kit.reached('message.duplicate', 2)
    expect(effects(kit.db)).toHaveLength(1)
  })
})

describe('a handler outside of a transaction', () => {
  test('has no tx, and its inbox row and what it sent are committed after it', async () => {
    const errors: unknown[] = []
    let rowsBefore = -1
    await using kit = await running((tandem, { db }) => {
      tandem.consume(
        Placed,
        async ({ n }, { tx, send }) => {
          try {
            effect(tx, n)
          } catch (error) {
            errors.push(error)
          }
          rowsBefore = written(db)['inbox'] ?? 0
          await send(Replied({ n }))
        },
        { transaction: false },
      )
    })
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.published', 2)
    expect(errors).toMatchObject([
      { code: 'TRANSACTION_INVALID', message: expect.stringContaining('transaction: false') as string },
    ])
    expect(rowsBefore).toBe(0)
    expect(inboxStates(kit.db)).toEqual(['handled'])
  })

  test('may use the store itself, for it holds no transaction', async () => {
    await using kit = await running((tandem, { store }) => {
      tandem.consume(Placed, ({ n }) => store.transaction(async (tx) => effect(tx, n)), { transaction: false })
    })
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.handled')
    expect(effects(kit.db)).toHaveLength(1)
  })

  test('fails, is retried and is dead like any other', async () => {
    let runs = 0
    await using kit = await consuming(
      () => {
        runs += 1
        throw new Error('mail server is down')
      },
      { transaction: false, retry: { maxAttempts: 3, delays: [0] } },
    )
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.dead')
    expect(runs).toBe(3)
  })

  test('does not run for a copy', async () => {
    let runs = 0
    await using kit = await consuming(() => void runs++, { transaction: false })
    await kit.send(Placed({ n: 1 }))
    const { id } = await kit.reached('message.handled')
    await kit.publish(await kit.copyOf(id))
    await kit.reached('message.duplicate')
    expect(runs).toBe(1)
  })
})
