// Messages that a handler sends.
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { message, type ConsumeOptions, type Handler, type Message } from '../../../src/index.ts'
import { effect, effects, foreign, running, written, type Service } from '../../support/facade.ts'
import type { Tx } from '../../support/store.ts'

const Placed = message<{ n: number }>('placed')
const Replied = message<{ n: number }>('replied')

const consuming = (handler: Handler<Tx, { n: number }>, options?: ConsumeOptions): Promise<Service & AsyncDisposable> =>
  running((tandem) => tandem.consume(Placed, handler, options))

describe('send in a handler', () => {
  test('carries correlation, causation and trace on', async () => {
    const seen: Message[] = []
    await using kit = await running((tandem) => {
      tandem.consume(Placed, async ({ n }, context) => {
        seen.push(context.message)
        await context.send(Replied({ n }, { headers: { own: 'x' } }))
      })
      tandem.consume(Replied, (_payload, context) => void seen.push(context.message))
    })
    const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'v=1' }
    await kit.send(Placed({ n: 1 }, { headers: { ...trace, other: 'stays' } }))
    await kit.reached('message.handled', 2)
    const [cause, reply] = seen
    expect(reply).toMatchObject({ causationId: cause?.id, correlationId: cause?.id, headers: { ...trace, own: 'x' } })
    expect(reply?.headers).not.toHaveProperty('other')
    expect(cause?.causationId).toBeUndefined()
  })

  test('carries the correlation and the trace of a foreign message on', async () => {
    const seen: Message[] = []
    await using kit = await running((tandem) => {
      tandem.consume(Placed, async ({ n }, { send }) => send(Replied({ n })))
      tandem.consume(Replied, (_payload, context) => void seen.push(context.message))
    })
    await kit.publish(
      foreign({ 'ce-correlationid': 'c-1', 'ce-traceparent': '00-ab-cd-01', 'ce-id': 'A1', 'ce-source': '/x' }),
    )
    await kit.reached('message.handled', 2)
    expect(seen).toMatchObject([
      { causationId: '/x/A1', correlationId: 'c-1', headers: { traceparent: '00-ab-cd-01' } },
    ])
  })

  test('that nobody awaits is sent all the same, in the order of the calls', async () => {
    const Slow = message('slow', { schema: z.number().refine(async () => Promise.resolve(true)) })
    await using kit = await consuming((_payload, { send }) => {
      void send(Slow(1))
      void send(Replied({ n: 2 }))
      void send([Slow(3)])
    })
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.published', 4)
    expect(kit.of('message.published').map(({ type }) => type)).toEqual(['placed', 'slow', 'replied', 'slow'])
  })

  test.each([
    ['awaited', true],
    ['awaited by nobody', false],
  ])('that is refused and %s fails the attempt', async (_name, awaited) => {
    await using kit = await consuming(
      async ({ n }, { tx, send }) => {
        effect(tx, n)
        void send(Replied({ n }))
        const sending = send(Replied({ n: 1n as unknown as number }))
        if (awaited) await sending
      },
      { retry: { maxAttempts: 2, delays: [0] } },
    )
    await kit.send(Placed({ n: 1 }))
    expect(await kit.reached('message.dead')).toMatchObject({
      attempt: 2,
      reason: 'attempts-exhausted',
      error: expect.stringContaining('$.n is a BigInt') as string,
    })
    expect([effects(kit.db), written(kit.db)['outbox']]).toEqual([[], undefined])
  })

  test('after the handler has returned is refused, told, and leaves no unhandled rejection', async () => {
    let later: (() => Promise<void>) | undefined
    await using kit = await consuming((_payload, { send }) => {
      later = () => send(Replied({ n: 1 }))
    })
    await kit.send(Placed({ n: 1 }))
    await kit.reached('message.handled')
    void later?.()
    await expect(later?.()).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(kit.of('warning')).toHaveLength(2)
    expect(kit.log[0]).toContain('called send() after its transaction had ended')
    expect(written(kit.db)).not.toHaveProperty('outbox')
  })
})
