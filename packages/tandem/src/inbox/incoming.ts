import { createHash } from 'node:crypto'
import { errorText, isTandemError, TandemError } from '../core/errors.ts'
import type { AnyMessageType, Message } from '../core/message.ts'
import { validate } from '../core/schema.ts'
import { readEnvelope, type Envelope, type WireMessage } from '../core/wire.ts'
import type { InboxMessage } from '../spi/store.ts'
import type { Handler, HandlerSettings } from './options.ts'

/** A handler with its settings, as one `consume` call registered it. */
export interface Registration<Tx> {
  readonly messageType: AnyMessageType
  readonly handler: Handler<Tx, never>
  readonly settings: HandlerSettings
}

/** What was read from the wire: a message with its handler, or the reason why nobody can handle it. */
export type Incoming<Tx> = Readable<Tx> | Unreadable

export interface Readable<Tx> {
  readonly kind: 'readable'
  readonly record: InboxMessage
  readonly envelope: Envelope
  readonly registration: Registration<Tx>
  readonly message: Message<never>
}

export interface Unreadable {
  readonly kind: 'unreadable'
  readonly record: InboxMessage
  /** `PAYLOAD_UNDECODABLE`, `PAYLOAD_INVALID` or `TYPE_UNKNOWN`. */
  readonly error: TandemError
}

/** Reads a message from the wire. Never rejects: what cannot be read is told as such. */
export async function readIncoming<Tx>(
  wire: WireMessage,
  registrations: ReadonlyMap<string, Registration<Tx>>,
  group: string,
): Promise<Incoming<Tx>> {
  let envelope: Envelope
  try {
    envelope = readEnvelope(wire)
  } catch (error) {
    return { kind: 'unreadable', record: recordWithoutEnvelope(wire), error: asUndecodable(error) }
  }
  const { id, type, source, topic, key, time, headers, body, causationId, correlationId } = envelope
  const record = { id, type, source, topic, key, headers, body, causationId, correlationId, sentAt: time.getTime() }
  const registration = registrations.get(type)
  if (registration === undefined) {
    const text =
      `consumer group ${group} has no handler for ${type} messages, and one came in topic ${topic}. ` +
      "Add a handler, or say unknownTypes: 'ignore'"
    return { kind: 'unreadable', record, error: new TandemError('TYPE_UNKNOWN', text) }
  }
  try {
    const { schema, codec } = registration.messageType
    const payload = await validate(schema, codec.decode(body), type)
    const { plainHeaders } = envelope
    const message = { id, type, topic, key, source, time, causationId, correlationId, headers: plainHeaders, payload }
    return { kind: 'readable', record, envelope, registration, message: message as Message<never> }
  } catch (error) {
    return { kind: 'unreadable', record, error: asUndecodable(error) }
  }
}

function asUndecodable(error: unknown): TandemError {
  return isTandemError(error)
    ? error
    : new TandemError('PAYLOAD_UNDECODABLE', `the codec could not read the payload: ${errorText(error)}`, {
        cause: error,
      })
}

/** A record for something that is no message of ours. The same bytes get the same id, so that a redelivery is a duplicate. */
function recordWithoutEnvelope(wire: WireMessage): InboxMessage {
  const hash = createHash('sha256').update(wire.topic).update(JSON.stringify(wire.headers)).update(wire.body)
  const id = `unreadable-${hash.digest('hex').slice(0, 32)}`
  const { topic, key, headers, body } = wire
  return {
    id,
    type: 'unreadable',
    source: 'unknown',
    topic,
    key,
    headers,
    body,
    sentAt: 0,
    causationId: undefined,
    correlationId: id,
  }
}
