import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { jsonCodec } from '../../../src/core/codec.ts'
import { message } from '../../../src/core/message.ts'
import { thrown } from '../../support/errors.ts'

describe('message()', () => {
  test('with a name alone it has the defaults', () => {
    const Pinged = message('pinged')
    expect({ ...Pinged }).toEqual({
      type: 'pinged',
      topic: 'pinged',
      schema: undefined,
      keyOf: undefined,
      sensitive: [],
      strictOrder: false,
      codec: jsonCodec,
    })
  })

  test('keeps what it is given', () => {
    const schema = z.object({ id: z.string() })
    const Placed = message('orders.placed', {
      schema,
      key: (order) => order.id,
      topic: 'orders',
      sensitive: ['card.number'],
      strictOrder: true,
    })
    expect({ ...Placed }).toMatchObject({
      type: 'orders.placed',
      topic: 'orders',
      sensitive: ['card.number'],
      strictOrder: true,
    })
    expect(Placed.schema).toBe(schema)
    expect(Placed.keyOf?.({ id: 'o1' })).toBe('o1')
  })

  test('called, it makes a draft and does nothing else: no schema runs, no id is given', () => {
    const Placed = message('orders.placed', { schema: z.object({ id: z.string() }) })
    const payload = { id: 5 } as unknown as { id: string }
    const draft = Placed(payload, { key: 'k' })
    expect(draft).toEqual({ messageType: Placed, payload, options: { key: 'k' } })
    expect(draft.payload).toBe(payload)
  })

  test.each<[string, unknown]>([
    ['a newline', 'orders\nplaced'],
    ['empty', ''],
    ['not a string', 5],
    ['missing', undefined],
  ])('a type name that is %s is refused', (_name, type) => {
    expect(thrown('NAME_INVALID', () => message(type as string)).message).toContain('message type')
  })

  test('a topic with a newline is refused', () => {
    expect(thrown('NAME_INVALID', () => message('a', { topic: 'b\n' })).message).toContain('topic')
  })

  test.each<[string, unknown, RegExp]>([
    ['schema', { schema: {} }, /Standard Schema/],
    ['schema', { schema: null }, /Standard Schema/],
    ['key', { key: 'orderId' }, /key must be a function/],
    ['sensitive', { sensitive: 'card' }, /list of dotted paths/],
    ['sensitive', { sensitive: [''] }, /list of dotted paths/],
    ['sensitive', { sensitive: [5] }, /list of dotted paths/],
    ['strictOrder', { strictOrder: 1 }, /true or false/],
    ['codec', { codec: {} }, /contentType, encode\(\) and decode\(\)/],
    ['codec', { codec: null }, /contentType, encode\(\) and decode\(\)/],
    ['the definition', null, /must be an object/],
  ])('a wrong %s is refused: %j', (_name, definition, text) => {
    expect(thrown('CONFIG_INVALID', () => message('a', definition as object)).message).toMatch(text)
  })

  test('an option that nothing reads is refused, in the definition and in the message', () => {
    const { message: text } = thrown('OPTION_UNKNOWN', () => message('a', { sensitve: ['card'] } as object))
    expect(text).toContain('message("a"): there is no option "sensitve"')
    const A = message('a')
    expect(thrown('OPTION_UNKNOWN', () => A({}, { deliverat: new Date() } as object)).message).toContain('deliverAt')
    thrown('CONFIG_INVALID', () => A({}, null as never))
  })
})
