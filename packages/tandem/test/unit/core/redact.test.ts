import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MASK, redact, redactText } from '../../../src/core/redact.ts'
import { runs } from '../../support/properties.ts'

describe('redact', () => {
  const order = { id: 'o1', card: { number: '4111', holder: 'A' }, items: [{ price: 1, cost: 2 }, { price: 3 }] }

  test.each<[readonly string[], unknown]>([
    [[], order],
    [[''], MASK],
    [['card.number'], { ...order, card: { number: MASK, holder: 'A' } }],
    [['card'], { ...order, card: MASK }],
    [['items.cost'], { ...order, items: [{ price: 1, cost: MASK }, { price: 3 }] }],
    [
      ['card.number', 'items.price'],
      {
        id: 'o1',
        card: { number: MASK, holder: 'A' },
        items: [{ price: MASK, cost: 2 }, { price: MASK }],
      },
    ],
    [['nothing.there'], order],
    [['card.number.digits'], { ...order, card: { number: MASK, holder: 'A' } }],
  ])('%j', (paths, expected) => {
    const before = structuredClone(order)
    expect(redact(order, paths)).toEqual(expected)
    expect(order, 'the payload itself is left alone').toEqual(before)
  })

  test('null stays null, and what an object inherits is not looked at', () => {
    expect(redact({ card: null }, ['card.number'])).toEqual({ card: null })
    expect(redact({}, ['constructor.name'])).toEqual({})
    expect(redact(null, ['a'])).toBeNull()
  })
})

describe('redactText', () => {
  test('masks strings and numbers wherever they stand', () => {
    const payload = { card: { number: '4111111', pin: 9876 }, name: 'Ann' }
    expect(redactText('4111111 of Ann: 9876, 4111111', payload, ['card'])).toBe(`${MASK} of Ann: ${MASK}, ${MASK}`)
  })

  test('a secret inside another leaves nothing behind', () => {
    expect(redactText('abcdef', { a: 'abc', b: 'abcdef' }, ['a', 'b'])).toBe(MASK)
  })

  test('also where the text quotes it', () => {
    const note = 'line one\n"two"\tand \\ \'three\''
    const payload = { note }
    for (const text of [JSON.stringify(payload), inspect(payload, { breakLength: Infinity }), inspect(note), note]) {
      const clean = redactText(text, payload, ['note'])
      expect(clean).toContain(MASK)
      expect(clean).not.toMatch(/two|three/)
    }
  })

  test('one or two characters are left, or no text could be read', () => {
    expect(redactText('a problem', { a: 'a' }, ['a'])).toBe('a problem')
  })

  test('nothing is sensitive: the text stays', () => {
    expect(redactText('$& $1 4111', { a: '4111' }, [])).toBe('$& $1 4111')
  })
})

describe('properties', () => {
  // Secrets are marked, so that one cannot be part of the text around it by chance.
  const secret = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).map((text) => `§${text}§`)
  const open = fc.string({ unit: 'grapheme-ascii', maxLength: 10 })
  const payload = fc.record({
    id: open,
    card: fc.oneof(
      fc.record({ number: secret, holder: open }),
      secret,
      fc.array(fc.record({ number: secret, holder: open }), { maxLength: 3 }),
    ),
    items: fc.array(fc.oneof(fc.record({ token: secret, name: open }), fc.array(fc.record({ token: secret }))), {
      maxLength: 4,
    }),
    profile: fc.record({
      notes: fc.array(secret, { maxLength: 3 }),
      more: fc.dictionary(open, secret, { maxKeys: 3 }),
    }),
  })
  const PATHS = ['card.number', 'items.token', 'profile']

  test('no secret value survives in a redacted payload', () => {
    fc.assert(
      fc.property(payload, (given) => {
        const clean = redact(given, PATHS) as typeof given
        expect(JSON.stringify(clean)).not.toContain('§')
        expect(clean.id).toBe(given.id)
        expect(clean.items).toHaveLength(given.items.length)
      }),
      runs(500),
    )
  })

  test('no secret value survives in a text, as it is or quoted', () => {
    const quoted = fc.constantFrom<(value: unknown) => string>(
      (value) => JSON.stringify(value),
      (value) => JSON.stringify(value, undefined, 2),
      (value) => inspect(value, { depth: 9, breakLength: Infinity }),
    )
    fc.assert(
      fc.property(payload, quoted, open, (given, quote, around) => {
        const clean = redactText(`${around}${quote(given)}${around}`, given, PATHS)
        expect(clean).not.toContain('§')
      }),
      runs(500),
    )
  })
})
