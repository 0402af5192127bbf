import { describe, expect, test } from 'vitest'
import { decodePayload, editPayload, viewPayload } from '../../../src/admin/payload.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const json = (value: unknown): Uint8Array => bytes(JSON.stringify(value))
const sensitive = (...paths: string[]): Record<string, string> => ({ 'tandem-sensitive': JSON.stringify(paths) })

describe('what a person sees', () => {
  test('JSON, with what is sensitive masked', () => {
    const body = json({ card: { number: '4111', owner: 'Kim' }, items: [{ pin: 1 }, { pin: 2 }] })
    expect(viewPayload(sensitive('card.number', 'items.pin'), body)).toEqual({
      kind: 'json',
      contentType: 'application/json',
      bytes: body.byteLength,
      value: { card: { number: '•••', owner: 'Kim' }, items: [{ pin: '•••' }, { pin: '•••' }] },
      masked: ['card.number', 'items.pin'],
    })
  })

  test.each(['application/json', 'application/json; charset=utf-8', 'application/vnd.order+json', 'text/json'])(
    '%s is JSON',
    (contentType) => {
      expect(viewPayload({ 'content-type': contentType }, json(1))).toMatchObject({ kind: 'json', value: 1 })
    },
  )

  test.each(['application/octet-stream', 'text/plain', 'application/jsonish', ''])('%j is not', (contentType) => {
    expect(viewPayload({ 'content-type': contentType }, json(1))).toEqual({
      kind: 'opaque',
      contentType,
      bytes: 1,
      why: 'not JSON',
    })
  })

  test('a broken header hides everything', () => {
    expect(viewPayload({ 'tandem-sensitive': '["card' }, json({ card: 'secret' }))).toMatchObject({ value: '•••' })
  })

  test('broken JSON is not shown in part', () => {
    const view = viewPayload(sensitive('card'), bytes('{"card": "secret'))
    expect(view).toMatchObject({ kind: 'opaque', bytes: 16 })
    expect(JSON.stringify(view)).not.toContain('secret')
  })

  test('neither is it quoted by the parser', () => {
    expect(decodePayload({}, bytes('{"card": secret'))).toBeUndefined()
    expect(() => editPayload({}, json({}), '{"card": secret')).toThrow(/^the edited payload is not JSON/)
    expect(() => editPayload({}, json({}), '{"card": secret')).not.toThrow(/secret/)
  })
})

describe('an edited payload', () => {
  const edit = (original: unknown, paths: readonly string[], text: string | object): unknown => {
    const next = editPayload(
      sensitive(...paths),
      json(original),
      typeof text === 'string' ? text : JSON.stringify(text),
    )
    return JSON.parse(new TextDecoder().decode(next))
  }

  test('replaces the payload', () => {
    expect(edit({ sku: 'a' }, [], { sku: 'b' })).toEqual({ sku: 'b' })
  })

  test('is stored as it was typed where nothing is masked, large numbers included', () => {
    const text = '{"n": 12345678901234567890}'
    expect(new TextDecoder().decode(editPayload({}, json({}), `${text}\n`))).toBe(text)
  })

  test('leaves a masked value as it was', () => {
    const original = { sku: 'a', card: { number: '4111', owner: 'Kim' }, items: [{ pin: 1, n: 1 }] }
    const text = { sku: 'b', card: { number: '•••', owner: 'Lee' }, items: [{ pin: '•••', n: 2 }] }
    expect(edit(original, ['card.number', 'items.pin'], text)).toEqual({
      sku: 'b',
      card: { number: '4111', owner: 'Lee' },
      items: [{ pin: 1, n: 2 }],
    })
  })

  test('can set a sensitive value, and drop one', () => {
    expect(edit({ card: '4111', pin: '1' }, ['card', 'pin'], { card: '4242' })).toEqual({ card: '4242' })
  })

  test('leaves a payload that is masked as a whole as it was', () => {
    expect(edit({ card: '4111' }, [''], '"•••"')).toEqual({ card: '4111' })
  })

  test('keeps a payload that says ••• itself', () => {
    expect(edit({ hint: '•••', sku: 'a' }, [], { hint: '•••', sku: 'b' })).toEqual({ hint: '•••', sku: 'b' })
  })

  test.each([
    ['moved to another place', { card: '4111' }, ['card'], { cart: '•••' }],
    ['where the path has no value', { sku: 'a' }, ['card'], { card: '•••' }],
    [
      'in a list that got shorter',
      {
        items: [
          { n: 1, pin: 1 },
          { n: 1, pin: 2 },
        ],
      },
      ['items.pin'],
      { items: [{ n: 1, pin: '•••' }] },
    ],
    ['in a list that got longer', { items: [{ pin: 1 }] }, ['items.pin'], { items: [{ pin: '•••' }, { pin: 2 }] }],
    [
      'in a list whose elements were swapped',
      {
        items: [
          { n: 1, pin: 1 },
          { n: 2, pin: 2 },
        ],
      },
      ['items.pin'],
      {
        items: [
          { n: 2, pin: '•••' },
          { n: 1, pin: '•••' },
        ],
      },
    ],
    ['in a list that was none', { items: 1 }, ['items.pin'], { items: [{ pin: '•••' }] }],
  ])('is refused with a mask %s', (_, original, paths, text) => {
    expect(() => edit(original, paths, text)).toThrow(expect.objectContaining({ code: 'PAYLOAD_INVALID' }))
  })

  test('may be a longer list whose elements have no mask', () => {
    expect(edit({ items: [{ pin: 1 }] }, ['items.pin'], { items: [{ pin: 1 }, { pin: 2 }] })).toEqual({
      items: [{ pin: 1 }, { pin: 2 }],
    })
  })

  test('does not become a prototype', () => {
    const next = editPayload(sensitive('card'), json({ card: 1 }), '{"card": "•••", "__proto__": {"a": 1}}')
    expect(new TextDecoder().decode(next)).toBe('{"card":1,"__proto__":{"a":1}}')
  })

  test.each([
    ['not JSON', 'PAYLOAD_INVALID', '{'],
    ['too deep', 'PAYLOAD_UNSERIALIZABLE', '['.repeat(200) + ']'.repeat(200)],
    ['too large', 'MESSAGE_TOO_LARGE', JSON.stringify('x'.repeat(1_048_576))],
  ])('is refused when it is %s', (_, code, text) => {
    expect(() => edit({}, [], text)).toThrow(expect.objectContaining({ code }))
  })

  test('is refused for a payload that is not JSON', () => {
    expect(() => editPayload({ 'content-type': 'application/avro' }, bytes('x'), '{}')).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_INVALID' }),
    )
  })
})
