import { TandemError } from './errors.ts'
import { isUuid } from './ids.ts'

/**
 * A message as bytes and text, the form in which stores keep it and brokers move it.
 *
 * The headers are those of the CloudEvents 1.0 HTTP binding in binary mode (`ce-id`, `ce-type`, …), next to the sender's own plain
 * headers. A broker adapter whose protocol has another prefix renames on the way in and out.
 */
export interface WireMessage {
  readonly topic: string
  readonly key: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** The attributes of a CloudEvent that was read from the wire. */
export interface Envelope extends WireMessage {
  /** CloudEvents says that `source` and `id` together are unique. A UUID is so alone; any other id is joined with its source. */
  readonly id: string
  readonly type: string
  readonly source: string
  readonly time: Date
  readonly contentType: string
  readonly causationId: string | undefined
  readonly correlationId: string
  /** Dotted paths whose values are kept from people, as the sender said. */
  readonly sensitive: readonly string[]
  /** `headers` without the CloudEvents attributes and Tandem's own. */
  readonly plainHeaders: Readonly<Record<string, string>>
}

export interface EnvelopeInput {
  readonly id: string
  readonly type: string
  readonly source: string
  readonly time: Date
  readonly key: string | undefined
  readonly contentType: string
  readonly causationId: string | undefined
  readonly correlationId: string
  readonly sensitive: readonly string[]
  readonly plainHeaders: Readonly<Record<string, string>>
}

/** The id of a message on the wire, as `readEnvelope` gives it; undefined if it has none. For brokers, which read no further. */
export function messageId(wire: WireMessage): string | undefined {
  const ownId = wire.headers['ce-id']
  if (ownId === undefined || ownId === '') return undefined
  return isUuid(ownId) ? ownId : `${wire.headers['ce-source'] ?? ''}/${ownId}`
}

const TRACE_HEADERS = ['traceparent', 'tracestate'] as const
const SENSITIVE_HEADER = 'tandem-sensitive'

/** The headers of a CloudEvent in binary mode. The key travels as the `partitionkey` extension, too. */
export function toHeaders(input: EnvelopeInput): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': input.contentType,
    'ce-specversion': '1.0',
    'ce-id': input.id,
    'ce-type': input.type,
    'ce-source': input.source,
    'ce-time': input.time.toISOString(),
    'ce-correlationid': input.correlationId,
  }
  if (input.key !== undefined) headers['ce-partitionkey'] = input.key
  if (input.causationId !== undefined) headers['ce-causationid'] = input.causationId
  if (input.sensitive.length > 0) headers[SENSITIVE_HEADER] = JSON.stringify(input.sensitive)
  for (const name of TRACE_HEADERS) {
    const value = input.plainHeaders[name]
    if (value !== undefined) headers[`ce-${name}`] = value
  }
  return Object.assign(headers, input.plainHeaders)
}

/**
 * Reads the attributes of a message from the wire.
 *
 * @throws TandemError `PAYLOAD_UNDECODABLE` when a required attribute is missing or broken
 */
export function readEnvelope(wire: WireMessage): Envelope {
  const { headers } = wire
  const attribute = (name: string): string => {
    const value = headers[`ce-${name}`]
    if (value === undefined || value === '') throw undecodable(wire, `the CloudEvents attribute ${name} is missing`)
    return value
  }
  const version = attribute('specversion')
  if (version !== '1.0') throw undecodable(wire, `CloudEvents specversion is ${version}, not 1.0`)
  const ownId = attribute('id')
  const source = attribute('source')
  const id = isUuid(ownId) ? ownId : `${source}/${ownId}`
  const timeText = headers['ce-time']
  const time = timeText === undefined ? new Date(0) : new Date(timeText)
  if (Number.isNaN(time.getTime())) throw undecodable(wire, `ce-time is ${JSON.stringify(timeText)}, not a time`)
  return {
    ...wire,
    id,
    type: attribute('type'),
    source,
    time,
    key: wire.key ?? headers['ce-partitionkey'],
    contentType: headers['content-type'] ?? 'application/json',
    causationId: headers['ce-causationid'],
    correlationId: headers['ce-correlationid'] ?? id,
    sensitive: readSensitive(headers[SENSITIVE_HEADER]),
    plainHeaders: plainHeadersOf(headers),
  }
}

/** What is neither an attribute nor Tandem's own; the trace also where it travels as the CloudEvents extension alone. */
function plainHeadersOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const plain = Object.fromEntries(Object.entries(headers).filter(([name]) => !isAttribute(name)))
  for (const name of TRACE_HEADERS) {
    const value = headers[`ce-${name}`]
    if (value !== undefined) plain[name] ??= value
  }
  return plain
}

/** The paths that the sender marked as sensitive. What cannot be read hides everything. */
export function readSensitive(header: string | undefined): readonly string[] {
  if (header === undefined) return []
  try {
    const paths: unknown = JSON.parse(header)
    return Array.isArray(paths) ? paths.map(String) : ['']
  } catch {
    return ['']
  }
}

function isAttribute(name: string): boolean {
  return name.startsWith('ce-') || name.startsWith('tandem-') || name === 'content-type'
}

function undecodable(wire: WireMessage, why: string): TandemError {
  return new TandemError(
    'PAYLOAD_UNDECODABLE',
    `a message in topic ${wire.topic} is not a CloudEvent in binary mode: ${why}`,
  )
}
