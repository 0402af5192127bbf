import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isUuid, uuidv7 } from '../../../src/core/ids.ts'
import { messageId, readEnvelope, readSensitive, toHeaders, type EnvelopeInput } from '../../../src/core/wire.ts'
import { thrown } from '../../support/errors.ts'
import { runs } from '../../support/properties.ts'

const body = new TextEncoder().encode('{}')
const wire = (headers: Record<string, string>, key?: string) => ({ topic: 'orders', key, headers, body })

/** The attributes that the CloudEvents specification asks of every event, as another sender would write them. */
const FOREIGN = {
  'ce-specversion': '1.0',
  'ce-id': 'A234-1234-1234',
  'ce-type': 'com.example.someevent',
  'ce-source': '/mycontext',
}

const input = (more: Partial<EnvelopeInput> = {}): EnvelopeInput => ({
  id: '01900000-0000-7000-8000-000000000001',
  type: 'orders.placed',
  source: 'order',
  time: new Date('2026-01-02T03:04:05.678Z'),
  key: undefined,
  contentType: 'application/json',
  causationId: undefined,
  correlationId: '01900000-0000-7000-8000-000000000000',
  sensitive: [],
  plainHeaders: {},
  ...more,
})

describe('on the wire', () => {
  test('a message is a CloudEvent 1.0 in binary mode, attribute by attribute', () => {
    const headers = toHeaders(
      input({
        key: 'o1',
        causationId: 'c1',
        sensitive: ['card.number'],
        plainHeaders: { traceparent: '00-ab-cd-01', tracestate: 'v=1', tenant: 't1' },
      }),
    )
    expect(headers).toEqual({
      'content-type': 'application/json',
      'ce-specversion': '1.0',
      'ce-id': '01900000-0000-7000-8000-000000000001',
      'ce-type': 'orders.placed',
      'ce-source': 'order',
      'ce-time': '2026-01-02T03:04:05.678Z',
      'ce-partitionkey': 'o1',
      'ce-causationid': 'c1',
      'ce-correlationid': '01900000-0000-7000-8000-000000000000',
      'ce-traceparent': '00-ab-cd-01',
      'ce-tracestate': 'v=1',
      'tandem-sensitive': '["card.number"]',
      traceparent: '00-ab-cd-01',
      tracestate: 'v=1',
      tenant: 't1',
    })
    // CloudEvents 1.0: extension names are lower-case letters and digits alone.
    for (const name of Object.keys(headers).filter((one) => one.startsWith('ce-'))) {
      expect(name).toMatch(/^ce-[a-z0-9]{1,20}$/)
    }
  })

  test('property: what is written is what is read', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    const name = fc.stringMatching(/^[a-z][a-z0-9._]{0,20}$/)
    const attributes = fc.record<EnvelopeInput>({
      id: fc.uuid(),
      type: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$/),
      source: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$/),
      time: fc.date({ min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
      key: fc.option(text, { nil: undefined }),
      contentType: fc.constantFrom('application/json', 'application/cbor'),
      causationId: fc.option(fc.uuid(), { nil: undefined }),
      correlationId: fc.uuid(),
      sensitive: fc.array(text, { maxLength: 4 }),
      plainHeaders: fc
        .dictionary(fc.oneof(fc.constantFrom('traceparent', 'tracestate'), name), text, { maxKeys: 6 })
        .map((headers) => ({ ...headers })),
    })
    fc.assert(
      fc.property(attributes, (given) => {
        const envelope = readEnvelope({ topic: 'orders', key: given.key, headers: toHeaders(given), body })
        expect(envelope).toMatchObject({ ...given, topic: 'orders', body })
        expect(envelope.plainHeaders).toEqual(given.plainHeaders)
        expect(messageId(envelope)).toBe(given.id)
      }),
      runs(300),
    )
  })

  test('a key that the broker does not carry is read from partitionkey', () => {
    expect(readEnvelope(wire({ ...toHeaders(input({ key: 'o1' })) })).key).toBe('o1')
    expect(readEnvelope(wire(toHeaders(input({ key: 'o1' })), 'of the broker')).key).toBe('of the broker')
  })
})

describe('a CloudEvent of another sender', () => {
  test('is read with what the specification requires alone', () => {
    expect(readEnvelope(wire(FOREIGN))).toMatchObject({
      id: '/mycontext/A234-1234-1234',
      type: 'com.example.someevent',
      source: '/mycontext',
      time: new Date(0),
      contentType: 'application/json',
      causationId: undefined,
      correlationId: '/mycontext/A234-1234-1234',
      sensitive: [],
      plainHeaders: {},
    })
  })

  test('with every attribute of the specification, and unknown extensions', () => {
    const headers = {
      ...FOREIGN,
      'content-type': 'application/vnd.acme+json',
      'ce-time': '2018-04-05T17:31:00Z',
      'ce-subject': 'mynewfile.jpg',
      'ce-dataschema': 'https://example.com/schema',
      'ce-comexampleextension1': 'value',
      'x-tool': 'kept',
    }
    const { time, contentType, plainHeaders } = readEnvelope(wire(headers))
    expect(time).toEqual(new Date('2018-04-05T17:31:00Z'))
    expect(contentType).toBe('application/vnd.acme+json')
    expect(plainHeaders).toEqual({ 'x-tool': 'kept' })
  })

  test('is not mistaken for one of the same id from another source', () => {
    const of = (source: string): string | undefined => messageId(wire({ ...FOREIGN, 'ce-source': source }))
    expect(of('/a')).not.toBe(of('/b'))
  })

  test('a UUID is unique alone, so the source does not count', () => {
    const id = uuidv7()
    expect(messageId(wire({ ...FOREIGN, 'ce-id': id }))).toBe(id)
    expect(isUuid(readEnvelope(wire({ ...FOREIGN, 'ce-id': id })).id)).toBe(true)
  })

  test('keeps its trace, which may be in the extension alone', () => {
    const extension = { ...FOREIGN, 'ce-traceparent': '00-ab-cd-01', 'ce-tracestate': 'v=1' }
    expect(readEnvelope(wire(extension)).plainHeaders).toEqual({ traceparent: '00-ab-cd-01', tracestate: 'v=1' })
    // Where both are there, the plain one is of the last hop.
    const both = { ...extension, traceparent: '00-ab-ef-01' }
    expect(readEnvelope(wire(both)).plainHeaders).toMatchObject({ traceparent: '00-ab-ef-01' })
  })

  test.each<[string, Record<string, string>]>([
    ['specversion', { 'ce-specversion': '' }],
    ['id', { 'ce-id': '' }],
    ['type', { 'ce-type': '' }],
    ['source', { 'ce-source': '' }],
  ])('without %s it is undecodable', (attribute, change) => {
    const { message } = thrown('PAYLOAD_UNDECODABLE', () => readEnvelope(wire({ ...FOREIGN, ...change })))
    expect(message).toContain(attribute)
    const headers: Record<string, string> = { ...FOREIGN }
    delete headers[`ce-${attribute}`]
    thrown('PAYLOAD_UNDECODABLE', () => readEnvelope(wire(headers)))
  })

  test('of another version, or with a time that is none, it is undecodable', () => {
    thrown('PAYLOAD_UNDECODABLE', () => readEnvelope(wire({ ...FOREIGN, 'ce-specversion': '2.0' })))
    const { message } = thrown('PAYLOAD_UNDECODABLE', () => readEnvelope(wire({ ...FOREIGN, 'ce-time': 'soon\n' })))
    expect(message).toContain('"soon\\n"')
  })

  test('a message without headers has no id', () => {
    expect(messageId(wire({}))).toBeUndefined()
    thrown('PAYLOAD_UNDECODABLE', () => readEnvelope(wire({})))
  })
})

describe('the sensitive paths', () => {
  test.each<[string | undefined, readonly string[]]>([
    [undefined, []],
    ['["a","b.c"]', ['a', 'b.c']],
    ['[1]', ['1']],
    // What cannot be read hides everything.
    ['not JSON', ['']],
    ['{"a":1}', ['']],
    ['"a"', ['']],
    ['', ['']],
  ])('%j: %j', (header, paths) => {
    expect(readSensitive(header)).toEqual(paths)
  })
})
