// Messages that no handler can be given.
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WireMessage } from '../../../src/core/wire.ts'
import { message } from '../../../src/index.ts'
import { effect, effects, foreign, inboxStates, running } from '../../support/facade.ts'

describe('a message that cannot be handled', () => {
  const Strict = message('placed', { schema: z.object({ n: z.number() }) })
  const handler = (): void => {
    throw new Error('the handler ran')
  }

  test.each<[string, WireMessage, string, RegExp]>([
    ['of a type that nobody takes', foreign({ 'ce-type': 'unheard.of' }), 'type-unknown', /no handler for unheard\.of/],
    ['that is not JSON', foreign({}, '{"n":'), 'undecodable', /not JSON/],
    ['that breaks the schema', foreign({}, '{"n":"five"}'), 'payload-invalid', /\$\.n/],
    ['that is no CloudEvent', { ...foreign({}), headers: {} }, 'undecodable', /specversion is missing/],
    ['of another specversion', foreign({ 'ce-specversion': '0.3' }), 'undecodable', /0\.3/],
  ])('%s is dead at once, in the inbox, with the reason', async (_name, given, reason, error) => {
    await using kit = await running((tandem) => tandem.consume(Strict, handler))
    await kit.publish(given)
    const dead = await kit.reached('message.dead')
    expect(dead).toMatchObject({ attempt: 1, reason, error: expect.stringMatching(error) as string })
    expect(dead.error).not.toContain('the handler ran')
    expect(kit.of('message.failed')).toEqual([])
    // Its bytes are there to be looked at.
    const detail = await kit.store.admin.deadLetter({ group: 'order', id: dead.id })
    expect(detail?.body).toEqual(given.body)
    // A redelivery is a copy.
    await kit.publish(given)
    await kit.reached('message.duplicate')
    expect(inboxStates(kit.db)).toEqual(['dead'])
  })

  test('of an unknown type may be ignored', async () => {
    await using kit = await running((tandem) => tandem.consume(Strict, () => undefined, { unknownTypes: 'ignore' }))
    await kit.publish(
      foreign({ 'ce-type': 'unheard.of' }),
      foreign({ 'ce-id': '01900000-0000-7000-8000-000000000002' }),
    )
    await kit.reached('message.handled')
    expect(inboxStates(kit.db)).toEqual(['handled'])
    expect(kit.of('message.dead')).toEqual([])
  })

  test('because the codec throws something odd is dead, and those after it are handled', async () => {
    const Odd = message<{ n: number }>('placed', {
      codec: {
        contentType: 'x/y',
        encode: (payload) => new TextEncoder().encode(JSON.stringify(payload)),
        decode: (body) => {
          const payload = JSON.parse(new TextDecoder().decode(body)) as { n: number }
          if (payload.n === 1) throw Object.create(null)
          return payload
        },
      },
    })
    await using kit = await running((tandem) => tandem.consume(Odd, ({ n }, { tx }) => effect(tx, n)))
    await kit.send([Odd({ n: 1 }, { key: 'k' }), Odd({ n: 2 }, { key: 'k' })])
    await kit.reached('message.handled')
    expect(kit.of('message.dead')).toMatchObject([{ reason: 'undecodable' }])
    expect(effects(kit.db)).toEqual([{ n: 2, note: '' }])
  })

  test('is handled after a replay, once the fix is there', async () => {
    await using kit = await running((tandem) => tandem.consume(Strict, ({ n }, { tx }) => effect(tx, n)))
    await kit.publish(foreign({}, '{"n":"five"}'))
    const { id } = await kit.reached('message.dead')
    const ref = { group: 'order', id }
    expect(await kit.store.admin.replayDeadLetter(ref, { by: 'kim' })).toBe(true)
    await kit.reached('message.dead', 2)
    expect(await kit.store.admin.editDeadLetter(ref, new TextEncoder().encode('{"n":5}'), { by: 'kim' })).toBe(true)
    expect(await kit.store.admin.replayDeadLetter(ref, { by: 'kim' })).toBe(true)
    expect(await kit.reached('message.handled')).toMatchObject({ id, attempt: 3 })
    expect(effects(kit.db)).toEqual([{ n: 5, note: '' }])
  })
})
