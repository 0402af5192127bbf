import type { StandardSchemaV1 } from '@standard-schema/spec'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { validate } from '../../../src/core/schema.ts'
import { refusal } from '../../support/errors.ts'

/** A schema by hand, to answer what no library would. */
const answering = (validateWith: (value: unknown) => unknown): StandardSchemaV1 => ({
  '~standard': { version: 1, vendor: 'test', validate: validateWith as StandardSchemaV1.Props['validate'] },
})

describe('validate', () => {
  test('returns what the schema made of the payload', async () => {
    const schema = z.object({ n: z.string().transform(Number), d: z.string().default('x') })
    expect(await validate(schema, { n: '5', extra: 1 }, 'a')).toEqual({ n: 5, d: 'x' })
  })

  test('waits for a schema that is asynchronous', async () => {
    const schema = z.string().refine(async (text) => Promise.resolve(text === 'yes'))
    expect(await validate(schema, 'yes', 'a')).toBe('yes')
    await refusal('PAYLOAD_INVALID', () => validate(schema, 'no', 'a'))
  })

  test('without a schema anything passes as it is', async () => {
    const payload = {}
    expect(await validate(undefined, payload, 'a')).toBe(payload)
  })

  test('tells every issue with its path, and no value', async () => {
    const schema = z.object({ card: z.object({ number: z.number() }), items: z.array(z.string()) })
    const payload = { card: { number: 'secret-number' }, items: ['a', 5] }
    const { message } = await refusal('PAYLOAD_INVALID', () => validate(schema, payload, 'orders.placed'))
    expect(message).toContain('orders.placed')
    expect(message).toContain('$.card.number: ')
    expect(message).toContain('$.items.1: ')
    expect(message).not.toContain('secret-number')
  })

  test('cuts a long list of issues', async () => {
    const schema = z.array(z.string())
    const { message } = await refusal('PAYLOAD_INVALID', () => validate(schema, Array(25).fill(1), 'a'))
    expect(message).toMatch(/; and 15 more$/)
  })

  test.each<[string, StandardSchemaV1]>([
    [
      'throws',
      answering(() => {
        throw new Error('in the schema')
      }),
    ],
    ['rejects', answering(() => Promise.reject(new Error('in the schema')))],
    ['answers nothing', answering(() => undefined)],
    ['answers nothing later', answering(() => Promise.resolve(null))],
  ])('a schema that %s refuses the payload', async (_name, schema) => {
    expect((await refusal('PAYLOAD_INVALID', () => validate(schema, 1, 'a'))).message).toContain('schema of a')
  })

  test('a path of objects, symbols and numbers can be shown', async () => {
    const schema = answering(() => ({ issues: [{ message: 'no', path: [{ key: 'a' }, 0, Symbol('s')] }] }))
    expect((await refusal('PAYLOAD_INVALID', () => validate(schema, 1, 'a'))).message).toContain('$.a.0.Symbol(s): no')
  })
})
